/*
 * Bulk: pages written into home ahead of their epoch. Room-private.
 */
#pragma once

#include "home.h"
#include "index.h"

#define BULK_RUN_PAGES 64u

/* Invariant: while `drafts` is not empty the superblocks' bulk is not 0. */
struct bulk {
	struct index drafts;    /* what home has now of pages no epoch has yet: sums; 0: zeros */
	uint64_t run_key;       /* pages side by side that are not written yet, the first of them; */
	unsigned run_count;
	char (*run_pages)[LAYOUT_BLOCK_BYTES];
	uint64_t failures;      /* the medium's before the first of them */
	bool has_leftovers;     /* home may have bytes of pages that no entry and no sum tells of */
	uint64_t last_epochs;   /* how many had been committed after the last one */
};

/* bulk_flag() - superblocks that carry `bulk`, durable */
int bulk_flag(struct anchor *anchor, uint32_t bulk);

/* bulk_has() - is there a draft of that page? */
static inline bool bulk_has(const struct bulk *bulk, uint64_t key)
{
	return index_find(&bulk->drafts, key) != NULL;
}

void bulk_deinit(struct bulk *bulk);

/* bulk_write() - the bytes into home, instead of those of an earlier draft. The page is fresh: no
 * entry behind the trim, checksum 0. -errno: the epoch to come will fail */
int bulk_write(struct bulk *bulk, struct home *home, uint64_t key, const void *bytes,
	       uint64_t sum);

/* bulk_sync() - all drafts are on media, or -errno */
int bulk_sync(struct bulk *bulk, struct home *home);

/* bulk_forget() - the epoch is durable, or will never be */
void bulk_forget(struct bulk *bulk, bool is_durable, uint64_t epochs);

/* bulk_calm() - if nothing has gone home early in the last `calm_epochs` of `epochs`, and nothing
 * was left there, the flag goes */
int bulk_calm(struct bulk *bulk, struct anchor *anchor, uint64_t epochs, uint64_t calm_epochs);

/* bulk_clean() - make every page of home zeros that counts as zeros: no entry, checksum
 * 0. Then the flag goes. Without drafts only. */
int bulk_clean(struct bulk *bulk, struct home *home);
