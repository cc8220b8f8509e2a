/*
 * The problem: a record holds of a page only what has changed since the record before, so many of
 * them together say what it is; for the newest epoch, for each one that is retained, and for the
 * one a merge brings home to. The trick: entries in the order of the log, each with the way back
 * to the last one of its page, so that a page at any epoch is found by going back from its newest
 * entry. What an epoch under way adds stands behind the rest, and is taken off again if it fails.
 * The guarantee: what is found for an epoch is what its records say, whatever comes after.
 *
 * Entries lie in chunks that never move; a merge takes them off the front.
 */
#include "annals.h"

#include <errno.h>
#include <string.h>

#include "memory.h"

#define CHUNK_ENTRIES UINT64_C(4096)
#define CHUNK_BYTES (CHUNK_ENTRIES * sizeof(struct annals_entry))

static_assert(sizeof(struct annals_entry) == 48, "there may be a million");

void annals_deinit(struct annals *annals)
{
	index_deinit(&annals->pages);
	linesums_deinit(&annals->linesums);
	while (annals->chunk_count)
		memory_free(annals->chunks[--annals->chunk_count], CHUNK_BYTES);
	memory_free(annals->chunks, annals->chunk_capacity * sizeof(void *));
	*annals = (struct annals){0};
}

struct annals_entry *annals_at(const struct annals *annals, uint64_t number)
{
	const uint64_t at = number - annals->chunk_first;

	return &annals->chunks[at / CHUNK_ENTRIES][at % CHUNK_ENTRIES];
}

uint64_t annals_before(const struct annals *annals, uint64_t number)
{
	const uint32_t back = annals_at(annals, number)->back;

	return back && number - back >= annals->first ? number - back : ANNALS_NONE;
}

uint64_t annals_find(const struct annals *annals, uint64_t key, uint64_t seq)
{
	const struct index_entry *page = index_find(&annals->pages, key);
	uint64_t number = page ? page->value : ANNALS_NONE;

	while (number != ANNALS_NONE && annals_at(annals, number)->seq > seq)
		number = annals_before(annals, number);
	return number;
}

void annals_expect(const struct annals *annals, uint64_t key, unsigned steps)
{
	if (steps >= 3) {
		index_expect(&annals->pages, key);
		return;
	}
	const struct index_entry *page = index_find(&annals->pages, key);
	if (!page)
		return;
	const struct annals_entry *entry = annals_at(annals, page->value);
	if (steps == 2)
		__builtin_prefetch(entry);
	else if (entry->linesums != LINESUMS_NONE)
		linesums_expect(&annals->linesums, entry->linesums);
}

/* ---- Entering ---- */

static int add_chunk(struct annals *annals)
{
	if (annals->chunk_count == annals->chunk_capacity) {
		const size_t bigger = annals->chunk_capacity ? 2 * annals->chunk_capacity : 64;
		void *memory = memory_grow(annals->chunks,
					   annals->chunk_capacity * sizeof(void *),
					   bigger * sizeof(void *));
		if (!memory)
			return -ENOMEM;
		annals->chunks = memory;
		annals->chunk_capacity = bigger;
	}
	void *chunk = memory_new(CHUNK_BYTES);
	if (!chunk)
		return -ENOMEM;
	annals->chunks[annals->chunk_count++] = chunk;
	return 0;
}

static void give_sums(struct annals *annals, struct annals_entry *entry)
{
	linesums_give(&annals->linesums, entry->linesums);
	entry->linesums = LINESUMS_NONE;
}

int annals_push(struct annals *annals, const struct annals_entry *entry)
{
	const uint64_t number = annals->end;
	const struct index_entry *page = index_find(&annals->pages, entry->key);
	const uint64_t last = page ? page->value : ANNALS_NONE;
	int error = 0;

	if ((number - annals->chunk_first) / CHUNK_ENTRIES == annals->chunk_count)
		error = add_chunk(annals);
	if (!error)
		error = index_put(&annals->pages, entry->key, number);
	if (error)
		return error;
	struct annals_entry *at = annals_at(annals, number);
	*at = *entry;
	at->seq = ANNALS_NEWEST;
	at->back = 0;
	at->linesums = LINESUMS_NONE;
	if (last != ANNALS_NONE) {
		at->back = (uint32_t)(number - last);
		at->linesums = annals_at(annals, last)->linesums; /* the place, for sums to come */
		annals_at(annals, last)->linesums = LINESUMS_NONE;
	}
	annals->end++;
	return 0;
}

void annals_settle(struct annals *annals, uint64_t seq, uint64_t record_offset)
{
	for (; annals->settled < annals->end; annals->settled++) {
		struct annals_entry *entry = annals_at(annals, annals->settled);
		entry->seq = seq;
		entry->lines += record_offset;
	}
}

void annals_commit(struct annals *annals)
{
	annals->committed = annals->end;
}

/* ---- Forgetting ---- */

/* Sums under way go with their entry: what they were before must be had again from the page. */
static void pop(struct annals *annals)
{
	const uint64_t number = annals->end - 1;
	struct annals_entry *entry = annals_at(annals, number);
	const uint64_t before = annals_before(annals, number);

	give_sums(annals, entry);
	if (before == ANNALS_NONE)
		index_remove(&annals->pages, entry->key);
	else
		index_put(&annals->pages, entry->key, before);
	annals->end--;
}

void annals_drop(struct annals *annals)
{
	while (annals->end > annals->settled)
		pop(annals);
}

void annals_rollback(struct annals *annals)
{
	while (annals->end > annals->committed)
		pop(annals);
	annals->settled = annals->end;
}

void annals_truncate(struct annals *annals, uint64_t seq)
{
	while (annals->end > annals->first && annals_at(annals, annals->end - 1)->seq > seq)
		pop(annals);
	annals->committed = annals->settled = annals->end;
}

static void forget_first(struct annals *annals)
{
	struct annals_entry *entry = annals_at(annals, annals->first);

	if (index_find(&annals->pages, entry->key)->value == annals->first) {
		give_sums(annals, entry);
		index_remove(&annals->pages, entry->key);
	}
	annals->first++;
}

void annals_trim(struct annals *annals, uint64_t seq)
{
	while (annals->first < annals->committed && annals_at(annals, annals->first)->seq <= seq)
		forget_first(annals);
	const size_t gone = (annals->first - annals->chunk_first) / CHUNK_ENTRIES;
	for (size_t i = 0; i < gone; i++)
		memory_free(annals->chunks[i], CHUNK_BYTES);
	if (gone) {
		annals->chunk_count -= gone;
		memmove(annals->chunks, annals->chunks + gone,
			annals->chunk_count * sizeof(void *));
		annals->chunk_first += gone * CHUNK_ENTRIES;
	}
	index_shrink(&annals->pages);
}

/* ---- Sums of lines ---- */

const uint64_t *annals_sums(const struct annals *annals, uint64_t number)
{
	const uint32_t place = annals_at(annals, number)->linesums;

	return place == LINESUMS_NONE ? NULL : linesums_at(&annals->linesums, place);
}

int annals_keep_sums(struct annals *annals, uint64_t number, const uint64_t lines[LAYOUT_LINES])
{
	struct annals_entry *entry = annals_at(annals, number);
	uint32_t place = entry->linesums;
	int error = place == LINESUMS_NONE ? linesums_take(&annals->linesums, &place) : 0;

	if (error)
		return error;
	entry->linesums = place;
	memcpy(linesums_at(&annals->linesums, place), lines, LAYOUT_LINES * sizeof(lines[0]));
	return 0;
}
