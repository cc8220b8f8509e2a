/*
 * Accounts in a libpmemobj pool: a hash table of PMEMoids, each transaction a TX_BEGIN, ranges added
 * before they are stored to, as its manual says. On an ordinary file, so durability is msync's.
 * kind: durable (it has no other).
 */
#include <libpmemobj.h>
#include <unistd.h>

#include "accounts.h"
#include "micro/bench.h"

#define POOL_BYTES ((size_t)512 << 20)
#define TYPE_ACCOUNT 1

struct kept_account {
	PMEMoid next;
	uint64_t id;
	int64_t balance;
	char holder[40];
};

struct table {
	PMEMoid buckets[ACCOUNTS_BUCKETS];
};

static PMEMobjpool *pool;
static struct table *table;

void accounts_open(const char *kind, const char *path)
{
	unlink(path);
	pool = pmemobj_create(path, "accounts", POOL_BYTES, 0600);
	bench_check(pool != NULL, pmemobj_errormsg());
	table = pmemobj_direct(pmemobj_root(pool, sizeof(*table)));
	bench_check(table != NULL && kind, "no root");
}

void accounts_transact(void (*work)(void *context), void *context)
{
	TX_BEGIN(pool)
	{
		work(context);
	}
	TX_ONABORT
	{
		bench_fail("the transaction was aborted");
	}
	TX_END
}

void accounts_insert(uint64_t id)
{
	PMEMoid *bucket = &table->buckets[account_bucket(id)];
	const PMEMoid made = pmemobj_tx_alloc(sizeof(struct kept_account), TYPE_ACCOUNT);

	*(struct kept_account *)pmemobj_direct(made) = (struct kept_account){
		.next = *bucket, .id = id, .balance = ACCOUNTS_BALANCE, .holder = "somebody"};
	pmemobj_tx_add_range_direct(bucket, sizeof(*bucket));
	*bucket = made;
}

static struct kept_account *find(uint64_t id)
{
	struct kept_account *account = pmemobj_direct(table->buckets[account_bucket(id)]);

	while (account && account->id != id)
		account = pmemobj_direct(account->next);
	bench_check(account != NULL, "an account is gone");
	return account;
}

static void add(uint64_t id, int64_t amount)
{
	struct kept_account *account = find(id);

	pmemobj_tx_add_range_direct(&account->balance, sizeof(account->balance));
	account->balance += amount;
}

void accounts_move(uint64_t from, uint64_t to, int64_t amount)
{
	add(from, -amount);
	add(to, amount);
}

int64_t accounts_total(uint64_t count)
{
	int64_t total = 0;

	for (uint64_t id = 0; id < count; id++)
		total += find(id)->balance;
	return total;
}

void accounts_close(void)
{
	pmemobj_close(pool);
}
