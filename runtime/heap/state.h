/*
 * What the files of the heap share: where its tables are, and its locks.
 *
 * The tables are in the heap's range (heap-layout.h); this struct is the process's way to them,
 * set by heap_create() or heap_attach() and constant after it, where nothing else is said. Lock
 * order: a slab lock, then the page lock.
 */
#pragma once

#include <stdbool.h>
#include <string.h>

#include "heap-layout.h"
#include "heap.h"
#include "inside.h"
#include "lock.h"

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

struct heap_state {
	uint32_t *pagemap_of_zero; /* pagemap, as if it began at address 0 */
	struct layout_span *spans;
	/* What the state of a slot becomes that is handed out: another odd number with every epoch,
	 * so that free() sees whether the block's page is one that this epoch has to copy anyway. */
	uint8_t live;
	bool has_epochs;
	uint32_t *pagemap;
	struct layout_heap *header;
	struct layout_root *roots;
	size_t size;  /* the whole range */
	uint32_t shard_count;
	size_t limit; /* how far data may grow in this run */
	uint32_t clock_start_s; /* the system's clock when the heap's was 0 */
	uint32_t run_start_s;   /* the heap's clock when this run began: older is of the image */
	bool is_forked;         /* what other threads had in their hands may be lost */
	struct heap_memory memory;
	/* By class, the next of the caches whose threads are no more to be emptied; 0: none left.
	 * Changed with the page lock held. */
	uint64_t orphans[HEAP_CLASSES];
	struct lock page_lock; /* spans, meta, list of thread caches, roots */
	struct lock slab_locks[HEAP_SHARDS_MAX][HEAP_CLASSES]; /* slabs[shard][class], its spans */
};
extern struct heap_state state;

static inline uint64_t heap_round_up(uint64_t value, uint64_t unit)
{
	return (value + unit - 1) / unit * unit;
}

/* There is a heap, and it has not been abandoned. It grows while others ask. */
static inline bool heap_is_there(void)
{
	return __atomic_load_n(&heap_range.size, __ATOMIC_RELAXED) != 0;
}

static inline char *heap_pointer(uint64_t offset)
{
	return heap_range.base + offset;
}

static inline uint64_t heap_offset(const void *p)
{
	return (uintptr_t)p - (uintptr_t)heap_range.base;
}

static inline uint32_t heap_page_of(uint64_t offset)
{
	return (uint32_t)(offset >> HEAP_PAGE_SHIFT);
}

static inline uint64_t heap_start_of(const struct layout_span *span)
{
	return heap_offset(span->start);
}

static inline struct layout_span *heap_span_at(uint64_t offset)
{
	return &state.spans[state.pagemap[heap_page_of(offset)]];
}

/* The same by address, in as few instructions as can be: free() begins here. */
HEAP_INLINE struct layout_span *heap_span_of(const void *p)
{
	return &state.spans[state.pagemap_of_zero[(uintptr_t)p >> HEAP_PAGE_SHIFT]];
}

static inline uint32_t heap_span_id(const struct layout_span *span)
{
	return (uint32_t)(span - state.spans);
}

/* State bytes are read by whoever scans a slab while their owners change them: never torn. */
HEAP_INLINE uint8_t slot_state_get(const uint8_t *at)
{
	return __atomic_load_n(at, __ATOMIC_RELAXED);
}

HEAP_INLINE void slot_state_set(uint8_t *at, uint8_t value)
{
	__atomic_store_n(at, value, __ATOMIC_RELAXED);
}

/* Changed by the committer while threads allocate. */
HEAP_INLINE uint8_t slot_state_live(void)
{
	return __atomic_load_n(&state.live, __ATOMIC_RELAXED);
}

HEAP_INLINE bool slot_state_is_live(uint8_t value)
{
	return value & SLOT_LIVE;
}

HEAP_INLINE bool slot_is_live(const uint8_t *at)
{
	return slot_state_is_live(slot_state_get(at));
}
