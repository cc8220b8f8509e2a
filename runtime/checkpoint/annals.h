/*
 * Annals: all entries of the log behind the trim, in their order. Room-private.
 *
 * An entry has a number, which counts from the first ever entered. Of each page they know
 * the newest, and of each entry the one before it of the same page; and of pages changed lately
 * the sums of their lines as the newest entry left them.
 */
#pragma once

#include "index.h"
#include "linesums.h"

#define ANNALS_NONE UINT64_MAX
#define ANNALS_NEWEST UINT64_MAX /* a seq: entries that have none yet count as well */

struct annals_entry {
	uint64_t key;  /* region_key() */
	uint64_t mask;
	uint64_t sum;
	uint64_t lines; /* offset in the log of the first line */
	uint64_t seq;   /* of its record */
	uint32_t back;  /* how many entries before this one the page's last one stands; 0: none */
	uint32_t kind : 2;       /* enum layout_entry_kind */
	uint32_t linesums : 30;  /* LINESUMS_NONE, unless it is the newest */
};

/* Invariant: first <= committed <= settled <= end. Entries from `committed` on are of an epoch
 * under way, those from `settled` on of a record that is not in the log yet. */
struct annals {
	struct index pages; /* key: number of the newest entry */
	struct linesums linesums;
	struct annals_entry **chunks;
	size_t chunk_count;
	size_t chunk_capacity;
	uint64_t chunk_first; /* number of the first entry of the first chunk */
	uint64_t first;
	uint64_t committed;
	uint64_t settled;
	uint64_t end;
};

void annals_deinit(struct annals *annals);

struct annals_entry *annals_at(const struct annals *annals, uint64_t number);
/* annals_find() - the page's newest entry among records up to `seq`; ANNALS_NONE: home is it */
uint64_t annals_find(const struct annals *annals, uint64_t key, uint64_t seq);
/* annals_before() - the page's entry before this one, or ANNALS_NONE */
uint64_t annals_before(const struct annals *annals, uint64_t number);

/* annals_expect() - the page will be looked for soon: prefetches that rely on each other, so when
 * there are 3 `steps` to go, 2, and 1 */
void annals_expect(const struct annals *annals, uint64_t key, unsigned steps);

/* annals_push() - an entry of the record under way: key, kind, mask, sum, and its lines' offset in
 * the record. -ENOMEM */
int annals_push(struct annals *annals, const struct annals_entry *entry);
/* annals_settle() - that record stands in the log; annals_commit() - and the epoch is whole;
 * annals_rollback() - it never will be */
void annals_settle(struct annals *annals, uint64_t seq, uint64_t record_offset);
void annals_commit(struct annals *annals);
void annals_rollback(struct annals *annals);
/* annals_drop() - that record is not written */
void annals_drop(struct annals *annals);
static inline bool annals_is_clean(const struct annals *annals)
{
	return annals->end == annals->committed;
}
static inline bool annals_is_settled(const struct annals *annals)
{
	return annals->end == annals->settled;
}

/* annals_truncate() - forget the entries of records behind `seq`; annals_trim(): up to it */
void annals_truncate(struct annals *annals, uint64_t seq);
void annals_trim(struct annals *annals, uint64_t seq);

/* annals_sums() - of the lines of a page as this entry left it, if they are known; NULL.
 * annals_keep_sums() - remember them, of a page's newest entry: -ENOMEM */
const uint64_t *annals_sums(const struct annals *annals, uint64_t number);
int annals_keep_sums(struct annals *annals, uint64_t number, const uint64_t lines[LAYOUT_LINES]);
