/*
 * The problem: pages are copied while the program runs, some of them again and again, and the last
 * ones while it stands still; the commit wants each once. And most of the time it is a few hundred
 * pages, but after a burst it is a gigabyte. The trick: slots in chunks that never move, a table of
 * pages, and a hash table from page to both, which all grow as needed; emptying is a new
 * generation, not a memset. The guarantee: when a put fails, everything staged before is as it was.
 *
 * Copies are made by memcpy(): streaming stores took as long (0.7 us a page, from memory to
 * memory), and the commit then finds nothing of a small epoch in the cache.
 */
#include "staging.h"

#include <errno.h>
#include <string.h>

#include "memory.h"
#include "os.h"
#include "sum.h"

#define CHUNK_BYTES ((size_t)1 << 20)
#define CHUNK_SLOTS (CHUNK_BYTES / OS_PAGE_BYTES)
#define PAGES_KEPT 8192 /* tables for so many are not worth giving back */

struct staging_place {
	uint32_t generation;
	uint32_t page : 31;
	uint32_t is_pointed : 1;
};

/* A table of twice the capacity with the same entries. */
static int table_grow(void **table, size_t *capacity, size_t entry_bytes)
{
	const size_t bigger = *capacity ? *capacity * 2 : OS_PAGE_BYTES / entry_bytes;
	void *memory = memory_grow(*table, *capacity * entry_bytes, bigger * entry_bytes);

	if (!memory)
		return -ENOMEM;
	*table = memory;
	*capacity = bigger;
	return 0;
}

void staging_open(struct staging *ret_staging, size_t limit_bytes)
{
	*ret_staging = (struct staging){.limit_bytes = limit_bytes, .generation = 1};
}

static void chunks_release(struct staging *staging, size_t kept)
{
	while (staging->chunk_count > kept)
		os_munmap(staging->chunks[--staging->chunk_count], CHUNK_BYTES);
}

static void tables_release(struct staging *staging)
{
	memory_free(staging->pages, staging->page_capacity * sizeof(*staging->pages));
	memory_free(staging->places, staging->place_capacity * sizeof(*staging->places));
	staging->pages = NULL;
	staging->places = NULL;
	staging->page_capacity = staging->place_capacity = 0;
}

void staging_close(struct staging *staging)
{
	chunks_release(staging, 0);
	tables_release(staging);
	memory_free(staging->chunks, staging->chunk_capacity * sizeof(*staging->chunks));
	staging_open(staging, 0);
}

size_t staging_bytes(const struct staging *staging)
{
	return staging->copy_count * OS_PAGE_BYTES +
	       staging->page_count * (sizeof(*staging->pages) + 2 * sizeof(*staging->places));
}

/* Pages are mostly staged in the order of their addresses: eight neighbours share a cache line. */
static struct staging_place *find_place(const struct staging *staging, uint32_t region,
					uint64_t index)
{
	const uint64_t key = region_key(region, index);
	const uint64_t group = (key >> 3) * UINT64_C(0x9e3779b97f4a7c15);
	const size_t mask = staging->place_capacity - 1;
	size_t at = (size_t)(group >> 20 << 3 | (key & 7)) & mask;

	for (;; at = (at + 1) & mask) {
		struct staging_place *place = &staging->places[at];
		const struct checkpoint_page *page = &staging->pages[place->page];
		if (place->generation != staging->generation ||
		    (page->region == region && page->index == index))
			return place;
	}
}

static int places_grow(struct staging *staging)
{
	const size_t old_bytes = staging->place_capacity * sizeof(*staging->places);
	const size_t bigger = staging->place_capacity ?
				      staging->place_capacity * 2 :
				      OS_PAGE_BYTES / sizeof(*staging->places);
	void *memory = memory_new(bigger * sizeof(*staging->places));

	if (!memory)
		return -ENOMEM;
	struct staging_place *old = staging->places;
	const size_t old_capacity = staging->place_capacity;
	staging->places = memory;
	staging->place_capacity = bigger;
	for (size_t i = 0; i < old_capacity; i++) {
		const struct checkpoint_page *page = &staging->pages[old[i].page];
		if (old[i].generation == staging->generation)
			*find_place(staging, page->region, page->index) = old[i];
	}
	memory_free(old, old_bytes);
	return 0;
}

/* Room in both tables for one page more; afterwards entering it cannot fail. */
static int reserve_page(struct staging *staging)
{
	int error = 0;

	if (staging->page_count == staging->page_capacity)
		error = table_grow((void **)&staging->pages, &staging->page_capacity,
				   sizeof(*staging->pages));
	if (!error && staging->place_capacity < 2 * (staging->page_count + 1))
		error = places_grow(staging);
	return error;
}

static int slot_take(struct staging *staging, void **ret_slot)
{
	const size_t chunk = staging->slot_used / CHUNK_SLOTS;

	if (staging->slot_free) {
		*ret_slot = (void *)staging->slot_free;
		staging->slot_free = *staging->slot_free;
		staging->copy_count++;
		return 0;
	}
	if (chunk == staging->chunk_count) {
		int error = 0;
		if (chunk == staging->chunk_capacity)
			error = table_grow((void **)&staging->chunks, &staging->chunk_capacity,
					   sizeof(*staging->chunks));
		char *memory = error ? NULL : memory_new(CHUNK_BYTES);
		if (!memory)
			return -ENOMEM;
		staging->chunks[staging->chunk_count++] = memory;
	}
	*ret_slot = staging->chunks[chunk] + staging->slot_used++ % CHUNK_SLOTS * OS_PAGE_BYTES;
	staging->copy_count++;
	return 0;
}

static void slot_return(struct staging *staging, void **slot)
{
	*slot = (void *)staging->slot_free;
	staging->slot_free = slot;
	staging->copy_count--;
}

/* A page with something in it is mostly told by its first words; one that gains or loses that while
 * it is looked at is staged again anyway. */
static bool is_zeros(const void *source)
{
	return !source || sum_is_zero_page(source);
}

/* A copy in a slot of its own; NULL bytes: it is zeros. */
static int copy_new(struct staging *staging, const void *source, const void **ret_bytes)
{
	void *slot;

	*ret_bytes = NULL;
	if (is_zeros(source))
		return 0;
	if (staging_bytes(staging) + OS_PAGE_BYTES > staging->limit_bytes)
		return -ENOSPC;
	int error = slot_take(staging, &slot);
	if (error)
		return error;
	memcpy(slot, source, OS_PAGE_BYTES);
	*ret_bytes = slot;
	return 0;
}

static int page_replace(struct staging *staging, struct checkpoint_page *page, const void *source)
{
	void **slot = (void **)(uintptr_t)page->bytes;

	if (!slot)
		return copy_new(staging, source, &page->bytes);
	if (is_zeros(source)) {
		slot_return(staging, slot);
		page->bytes = NULL;
	} else {
		memcpy(slot, source, OS_PAGE_BYTES);
	}
	return 0;
}

static struct staging_place *find_staged(const struct staging *staging, uint32_t region,
					 uint64_t index)
{
	if (!staging->page_count)
		return NULL;
	struct staging_place *place = find_place(staging, region, index);
	return place->generation == staging->generation ? place : NULL;
}

bool staging_has(const struct staging *staging, uint32_t region, uint64_t index)
{
	return find_staged(staging, region, index) != NULL;
}

/* After reserve_page(). */
static void page_enter(struct staging *staging, const struct checkpoint_page *page, bool is_pointed)
{
	*find_place(staging, page->region, page->index) = (struct staging_place){
		staging->generation, (uint32_t)staging->page_count & INT32_MAX, is_pointed};
	staging->pages[staging->page_count++] = *page;
	staging->pointed_count += is_pointed;
}

int staging_put(struct staging *staging, uint32_t region, uint64_t index, const void *source)
{
	const struct staging_place *place = find_staged(staging, region, index);
	struct checkpoint_page page = {.region = region, .index = index};

	if (place && place->is_pointed)
		return 0;
	if (place)
		return page_replace(staging, &staging->pages[place->page], source);
	if (staging_bytes(staging) >= staging->limit_bytes)
		return -ENOSPC;
	int error = reserve_page(staging);
	if (!error)
		error = copy_new(staging, source, &page.bytes);
	if (!error)
		page_enter(staging, &page, false);
	return error;
}

int staging_point(struct staging *staging, uint32_t region, uint64_t index, const void *source)
{
	struct staging_place *place = find_staged(staging, region, index);
	const struct checkpoint_page page = {region, index, source};

	if (!place) {
		const int error = reserve_page(staging);
		if (!error)
			page_enter(staging, &page, true);
		return error;
	}
	struct checkpoint_page *staged = &staging->pages[place->page];
	if (!place->is_pointed && staged->bytes)
		slot_return(staging, (void **)(uintptr_t)staged->bytes);
	staging->pointed_count += !place->is_pointed;
	place->is_pointed = true;
	staged->bytes = source;
	return 0;
}

/* The table is made anew: taking out single places would cut others off. */
void staging_unpoint(struct staging *staging,
		     void (*visit)(void *context, uint32_t region, uint64_t index), void *context)
{
	size_t kept = 0;

	if (!staging->pointed_count)
		return;
	for (size_t i = 0; i < staging->page_count; i++) {
		const struct checkpoint_page page = staging->pages[i];
		if (find_place(staging, page.region, page.index)->is_pointed)
			visit(context, page.region, page.index);
		else
			staging->pages[kept++] = page;
	}
	staging->page_count = staging->pointed_count = 0;
	memset(staging->places, 0, staging->place_capacity * sizeof(*staging->places));
	for (size_t i = 0; i < kept; i++)
		page_enter(staging, &staging->pages[i], false);
}

void staging_clear(struct staging *staging)
{
	const size_t used = (staging->slot_used + CHUNK_SLOTS - 1) / CHUNK_SLOTS;
	const size_t decayed = staging->kept_chunks - (staging->kept_chunks + 7) / 8;

	/* A steady load keeps its memory, as faulting it in again costs as much as the copies; after
	 * a burst an eighth goes back at each epoch. */
	staging->kept_chunks = used > decayed ? used : decayed;
	chunks_release(staging, staging->kept_chunks);
	if (staging->page_capacity > PAGES_KEPT && staging->page_count < staging->page_capacity / 32)
		tables_release(staging);
	staging->page_count = staging->pointed_count = 0;
	staging->slot_used = staging->copy_count = 0;
	staging->slot_free = NULL;
	if (++staging->generation == 0) { /* what is left of generation 1 must not come alive */
		tables_release(staging);
		staging->generation = 1;
	}
}
