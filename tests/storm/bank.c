/*
 * A bank: eight clerks move money between accounts under a lock each.
 *
 *   bank locks    nothing is annotated but where the accounts are: holding a lock is a section
 *   bank blocks   each transfer is a transaction, with the locks inside; some are durable
 *
 * The money in the bank is always the same, and each account's book says how it came about. A
 * clerk's count of transfers is changed inside the section, so that it says how many there were.
 */
#include "storm.h"

#define ACCOUNTS 1000
#define CLERKS 8
#define OPENING 1000

struct account {
	int64_t balance;
	int64_t in, out;
	uint64_t entries;
	char *last; /* what the last entry says, allocated by whoever made it */
};

struct bank {
	struct account accounts[ACCOUNTS];
	struct { uint64_t transfers; char apart[56]; } clerks[CLERKS];
};

static pthread_mutex_t locks[ACCOUNTS];
static struct bank *bank;
static bool has_blocks;

static void enter(struct account *account, unsigned clerk, int64_t amount)
{
	char text[64];

	snprintf(text, sizeof(text), "%u: %lld", clerk, (long long)amount);
	free(account->last);
	account->last = strdup(text);
	MUST(account->last);
	account->balance += amount;
	*(amount < 0 ? &account->out : &account->in) += amount;
	account->entries++;
}

static void transfer(unsigned clerk)
{
	const uint64_t dice = storm_dice(10 + clerk, bank->clerks[clerk].transfers);
	const size_t from = dice % ACCOUNTS, to = (dice >> 20) % ACCOUNTS;
	const size_t first = from < to ? from : to, second = from < to ? to : from;

	pthread_mutex_lock(&locks[first]);
	if (first != second)
		pthread_mutex_lock(&locks[second]);
	enter(&bank->accounts[from], clerk, -(int64_t)(dice >> 50));
	storm_linger(dice);
	enter(&bank->accounts[to], clerk, (int64_t)(dice >> 50));
	bank->clerks[clerk].transfers++;
	if (first != second)
		pthread_mutex_unlock(&locks[second]);
	pthread_mutex_unlock(&locks[first]);
}

static void work(unsigned clerk)
{
	for (;;) {
		uint64_t *count = &bank->clerks[clerk].transfers;
		if (has_blocks) {
			STORM_BLOCK(clerk, *count) { transfer(clerk); }
			continue;
		}
		transfer(clerk);
		if (*count % storm_every() == 0 && hsk_checkpoint(-1) == 0)
			storm_acknowledge(clerk, *count);
	}
}

static void *clerk_main(void *argument)
{
	work((unsigned)(uintptr_t)argument);
	return NULL;
}

static void verify(void)
{
	int64_t money = 0;
	uint64_t entries = 0, transfers = 0;

	for (size_t i = 0; i < ACCOUNTS; i++) {
		const struct account *account = &bank->accounts[i];
		MUST(account->balance == OPENING + account->in + account->out);
		MUST((account->entries == 0) == (account->last == NULL));
		MUST(!account->last || strchr(account->last, ':'));
		money += account->balance;
		entries += account->entries;
	}
	for (unsigned i = 0; i < CLERKS; i++)
		transfers += bank->clerks[i].transfers;
	MUST(money == (int64_t)OPENING * ACCOUNTS);
	MUST(entries == 2 * transfers);
}

/* Without a transaction: found again only once it is whole. */
static struct bank *bank_new(void)
{
	struct bank *made = calloc(1, sizeof(*made));

	MUST(made);
	for (size_t i = 0; i < ACCOUNTS; i++)
		made->accounts[i].balance = OPENING;
	MUST(hsk_set_root("bank", made) == 0);
	return made;
}

int main(int argc, char **argv)
{
	pthread_t thread;

	has_blocks = argc > 1 && strcmp(argv[1], "blocks") == 0;
	bank = hsk_root("bank");
	if (!bank)
		bank = bank_new();
	for (size_t i = 0; i < ACCOUNTS; i++)
		pthread_mutex_init(&locks[i], NULL);
	verify();
	for (unsigned i = 0; i < CLERKS; i++)
		storm_found(i, bank->clerks[i].transfers);
	for (unsigned i = 1; i < CLERKS; i++)
		MUST(pthread_create(&thread, NULL, clerk_main, (void *)(uintptr_t)i) == 0);
	work(0);
}
