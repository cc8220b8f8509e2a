/*
 * Accounts in memory, by ordinary pointers:
 *   plain    malloc, kept by nobody
 *   tx       each transaction is an HSK_TX: in the next epoch as a whole
 *   durable  each is an HSK_TX_DURABLE
 *   msync    in a shared mapping of PATH at a fixed address, msync()ed after each transaction; a crash
 *            may leave half of one, which the others never do
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "accounts.h"
#include "heapsake.h"
#include "micro/bench.h"

#define MAPPING_BYTES (UINT64_C(4) << 30)
#define MAPPING_ADDRESS ((void *)UINT64_C(0x100000000000))

struct table {
	struct account *buckets[ACCOUNTS_BUCKETS];
	uint64_t used_bytes; /* of a mapping */
};

HSK_KEEP static struct table *table;
static enum { PLAIN, TX, DURABLE, MSYNC } way;

static struct table *map_file(const char *path)
{
	const int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

	bench_check(fd >= 0 && ftruncate(fd, MAPPING_BYTES) == 0, "cannot make the file");
	void *mapping = mmap(MAPPING_ADDRESS, MAPPING_BYTES, PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0);
	bench_check(mapping == MAPPING_ADDRESS, "cannot map the file");
	return mapping;
}

void accounts_open(const char *kind, const char *path)
{
	static const char *const names[] = {"plain", "tx", "durable", "msync"};

	for (way = PLAIN; way < MSYNC && strcmp(kind, names[way]) != 0; way++)
		;
	table = way == MSYNC ? map_file(path) : calloc(1, sizeof(*table));
	bench_check(table != NULL, "no memory");
	table->used_bytes = (sizeof(*table) + 63) & ~UINT64_C(63);
}

void accounts_transact(void (*work)(void *context), void *context)
{
	switch (way) {
	case PLAIN:
		work(context);
		break;
	case TX:
		HSK_TX { work(context); }
		break;
	case DURABLE:
		HSK_TX_DURABLE { work(context); }
		bench_check(hsk_status() == 0, "not durable");
		break;
	case MSYNC:
		work(context);
		bench_check(msync(table, table->used_bytes, MS_SYNC) == 0, "cannot msync");
		break;
	}
}

static struct account *new_account(void)
{
	if (way != MSYNC)
		return malloc(sizeof(struct account));
	bench_check(table->used_bytes + sizeof(struct account) <= MAPPING_BYTES, "the mapping is full");
	struct account *account = (struct account *)((char *)table + table->used_bytes);
	table->used_bytes += sizeof(struct account);
	return account;
}

void accounts_insert(uint64_t id)
{
	struct account **bucket = &table->buckets[account_bucket(id)], *account = new_account();

	bench_check(account != NULL, "no memory");
	*account = (struct account){.next = *bucket, .id = id, .balance = ACCOUNTS_BALANCE,
				    .holder = "somebody"};
	*bucket = account;
}

static struct account *find(uint64_t id)
{
	struct account *account = table->buckets[account_bucket(id)];

	while (account && account->id != id)
		account = account->next;
	bench_check(account != NULL, "an account is gone");
	return account;
}

void accounts_move(uint64_t from, uint64_t to, int64_t amount)
{
	find(from)->balance -= amount;
	find(to)->balance += amount;
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
}
