/* accounts.h - a store of accounts, the same for everybody who can keep one; see accounts.c. */
#pragma once

#include <stdint.h>

#define ACCOUNTS_BUCKETS (UINT32_C(1) << 21)
#define ACCOUNTS_BALANCE 100 /* a new account's */

/* One record: what a lookup by id finds. Databases keep the same fields. */
struct account {
	struct account *next; /* of its bucket */
	uint64_t id;
	int64_t balance;
	char holder[40];
};

static inline uint32_t account_bucket(uint64_t id)
{
	return (uint32_t)((id * UINT64_C(0x9e3779b97f4a7c15)) >> 43);
}

/* One of these stands behind accounts.c in each executable: accounts-*.c. */

/* kind: how it keeps, of the ways this store has; path: where. Ends the program if it cannot. */
void accounts_open(const char *kind, const char *path);
/* All that work does is kept, or nothing of it; durable on return if the kind says so. */
void accounts_transact(void (*work)(void *context), void *context);
/* Only in the work of a transaction. */
void accounts_insert(uint64_t id);
void accounts_move(uint64_t from, uint64_t to, int64_t amount);
/* The sum of all balances; ids go from 0 to count - 1. */
int64_t accounts_total(uint64_t count);
void accounts_close(void);
