/*
 * The problem: for each page with a live entry 512 bytes are kept, for as long as the entry is; it
 * may be one page or a million. The trick: chunks that never move, and a list through those given
 * back. The guarantee: taking and giving cost a few nanoseconds, and when none is used there is no
 * memory either.
 */
#include "linesums.h"

#include <errno.h>

#include "memory.h"

#define CHUNK_PAGES 1024u /* half a megabyte */
#define CHUNK_BYTES (CHUNK_PAGES * LAYOUT_LINES * sizeof(uint64_t))

void linesums_deinit(struct linesums *store)
{
	while (store->chunk_count)
		memory_free(store->chunks[--store->chunk_count], CHUNK_BYTES);
	memory_free(store->chunks, store->chunk_capacity * sizeof(void *));
	*store = (struct linesums){0};
}

uint64_t *linesums_at(const struct linesums *store, uint32_t number)
{
	return store->chunks[number / CHUNK_PAGES][number % CHUNK_PAGES];
}

void linesums_expect(const struct linesums *store, uint32_t number)
{
	const char *at = (const char *)linesums_at(store, number);

	for (size_t i = 0; i < LAYOUT_LINES * sizeof(uint64_t); i += 64)
		__builtin_prefetch(at + i);
}

static int add_chunk(struct linesums *store)
{
	if (store->chunk_count == store->chunk_capacity) {
		const size_t bigger = store->chunk_capacity ? 2 * store->chunk_capacity : 64;
		void *memory = memory_grow(store->chunks,
					   store->chunk_capacity * sizeof(void *),
					   bigger * sizeof(void *));
		if (!memory)
			return -ENOMEM;
		store->chunks = memory;
		store->chunk_capacity = bigger;
	}
	void *chunk = memory_new(CHUNK_BYTES);
	if (!chunk)
		return -ENOMEM;
	store->chunks[store->chunk_count++] = chunk;
	return 0;
}

int linesums_take(struct linesums *store, uint32_t *ret_number)
{
	if (store->free) {
		*ret_number = store->free;
		store->free = (uint32_t)linesums_at(store, store->free)[0];
	} else {
		store->end += store->end == LINESUMS_NONE;
		int error = store->end / CHUNK_PAGES == store->chunk_count ? add_chunk(store) : 0;
		if (error)
			return error;
		*ret_number = store->end++;
	}
	store->used++;
	return 0;
}

void linesums_give(struct linesums *store, uint32_t number)
{
	if (number == LINESUMS_NONE)
		return;
	if (--store->used == 0) {
		linesums_deinit(store);
		return;
	}
	linesums_at(store, number)[0] = store->free;
	store->free = number;
}
