/*
 * Batch: the entries of an epoch under way, in the order they were staged. Room-private.
 *
 * A page is in it at most once, so nobody looks for one; unlike an index it costs nothing to empty.
 */
#pragma once

#include <errno.h>

#include "index.h"
#include "memory.h"

#define BATCH_MIN 256u

struct batch {
	struct index_entry *entries;
	size_t count;
	size_t capacity;
};

/* batch_reserve() - that many adds cannot fail; -ENOMEM */
static inline int batch_reserve(struct batch *batch, size_t more)
{
	size_t capacity = batch->capacity ? batch->capacity : BATCH_MIN;

	while (capacity < batch->count + more)
		capacity *= 2;
	if (capacity == batch->capacity)
		return 0;
	void *memory = memory_grow(batch->entries, batch->capacity * sizeof(*batch->entries),
				   capacity * sizeof(*batch->entries));
	if (!memory)
		return -ENOMEM;
	batch->entries = memory;
	batch->capacity = capacity;
	return 0;
}

static inline void batch_deinit(struct batch *batch)
{
	memory_free(batch->entries, batch->capacity * sizeof(*batch->entries));
	*batch = (struct batch){0};
}
