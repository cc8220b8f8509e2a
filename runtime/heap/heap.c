/*
 * The heap's face: malloc's family in terms of thread caches, slabs and spans.
 *
 * The fast paths are here, whole: malloc is a size class, a pop from the thread's stack or run,
 * and one state byte; free is the pagemap (which span?), a multiplication (which slot?), the state
 * byte (is it live?) and a push. No user byte is touched. All else stands behind their unlikely
 * branches: no cache yet, an empty one, a full one, large blocks, invalid pointers.
 */
#include "heap.h"

#include <errno.h>
#include <sched.h>

#include "check.h"
#include "large.h"
#include "memcheck.h"
#include "sizeclass.h"
#include "slab.h"
#include "span.h"
#include "state.h"
#include "tcache.h"

#define HEADER_BYTES (UINT64_C(128) << 10)
#define ROOTS_OFFSET HEADER_BYTES
#define ROOTS_BYTES (HEAP_ROOTS * sizeof(struct layout_root))
#define PAGEMAP_OFFSET (UINT64_C(256) << 10)
/* Slabs and large blocks have more pages; of blocks with an alignment beyond a page, and the holes
 * between them, there may be more than records: then the heap is full before its pages are. */
#define PAGES_PER_SPAN 2
#define ALIGN_WHOLE_MAX (8 * HEAP_PAGE_BYTES) /* such blocks leave no holes */

static_assert(sizeof(struct layout_heap) <= HEADER_BYTES, "the header fits its place");
static_assert(ROOTS_OFFSET + ROOTS_BYTES <= PAGEMAP_OFFSET, "the roots fit their place");

struct heap_state state;
struct heap_range heap_range;

static uint64_t round_up(uint64_t value, uint64_t unit)
{
	return (value + unit - 1) / unit * unit;
}

/* As many shards as keep the processors out of each other's way, a power of two. */
static uint32_t shards_wanted(void)
{
	cpu_set_t cpus;
	uint32_t shards = 2;
	const uint32_t count =
		sched_getaffinity(0, sizeof(cpus), &cpus) == 0 ? (uint32_t)CPU_COUNT(&cpus) : 1;
	while (shards < 2 * count && shards < HEAP_SHARDS_MAX)
		shards *= 2;
	return shards;
}

static uint64_t spans_of(uint64_t size)
{
	return round_up(PAGEMAP_OFFSET + (size / HEAP_PAGE_BYTES + 1) * sizeof(uint32_t), 65536);
}

static uint64_t data_start_of(uint64_t size)
{
	const uint64_t capacity = size / HEAP_PAGE_BYTES / PAGES_PER_SPAN;
	return round_up(spans_of(size) + capacity * sizeof(struct layout_span), 65536);
}

/* What a header says that follows from the size alone. */
void heap_layout_fill(struct layout_heap *header, uint64_t size)
{
	header->magic = HEAP_MAGIC;
	header->size_bytes = size;
	header->pagemap = PAGEMAP_OFFSET;
	header->spans = spans_of(size);
	header->span_capacity = (uint32_t)(size / HEAP_PAGE_BYTES / PAGES_PER_SPAN);
	header->data_start = data_start_of(size);
	sizeclass_fill(header->classes);
}

int heap_create(const struct heap_memory *memory, void *base, size_t size, size_t limit)
{
	if (size < HEAP_SIZE_MIN || limit > size || limit < HEAP_SIZE_MIN ||
	    size / HEAP_PAGE_BYTES > UINT32_MAX / 2)
		return -EINVAL;
	limit -= limit % HEAP_PAGE_BYTES;
	struct layout_heap *header = base;
	if (data_start_of(size) >= limit)
		return -EINVAL;
	int error = memory->grow(memory->context, 0, PAGEMAP_OFFSET);
	if (error)
		return error;

	heap_layout_fill(header, size);
	header->data_end = header->data_start;
	header->span_top = 1; /* record 0 stands for "no span" */
	header->shard_count = shards_wanted();
	header->generation = 1;
	const uint64_t first = 65536;
	error = memory->grow(memory->context, header->pagemap, first);
	if (!error)
		error = memory->grow(memory->context, header->spans, first);
	if (error)
		return error;
	header->pagemap_open = header->spans_open = first;
	memcheck_own(base, PAGEMAP_OFFSET);
	memcheck_own((char *)base + header->pagemap, first);
	memcheck_own((char *)base + header->spans, first);

	state = (struct heap_state){
		.header = header,
		.pagemap = (uint32_t *)((char *)base + header->pagemap),
		.pagemap_of_zero = (uint32_t *)((char *)base + header->pagemap) -
				   ((uintptr_t)base >> HEAP_PAGE_SHIFT),
		.spans = (struct layout_span *)((char *)base + header->spans),
		.roots = (struct layout_root *)((char *)base + ROOTS_OFFSET),
		.size = size,
		.shard_count = header->shard_count,
		.limit = limit,
		.memory = *memory,
	};
	heap_range = (struct heap_range){base, header->data_end};
	return 0;
}

void heap_destroy(void)
{
	heap_range = (struct heap_range){NULL, 0};
	state = (struct heap_state){0};
	tcache_reset();
}

static __attribute__((noinline)) void *alloc_slow(size_t size)
{
	bool is_zero;
	return size <= SIZECLASS_MAX_BYTES ? tcache_alloc_slow(sizeclass_of(size)) :
					     large_alloc(size, 1, &is_zero);
}

static __attribute__((noinline)) void *alloc_slow_or_report(size_t size)
{
	void *p = alloc_slow(size);
	if (unlikely(!p) && state.memory.alloc_failed)
		state.memory.alloc_failed(state.memory.context, size);
	return p;
}

static inline __attribute__((always_inline)) void *alloc_or(size_t size, void *(*slow)(size_t))
{
	if (unlikely(size > SIZECLASS_MAX_BYTES))
		return slow(size);
	struct layout_bin *bin = &tcache_self->bins[sizeclass_of(size)];
	if (likely(bin->top != bin->entries))
		return stack_pop(bin);
	if (likely(!run_is_empty(bin->run)))
		return run_pop(bin);
	return slow(size);
}

static inline void *alloc(size_t size)
{
	return alloc_or(size, alloc_slow);
}

void *heap_alloc(size_t size)
{
	void *p = alloc_or(size, alloc_slow_or_report);
	memcheck_alloc(p, size, 0);
	return p;
}

void *heap_alloc_zeroed(size_t size)
{
	bool is_zero = false;
	void *p = size <= SIZECLASS_MAX_BYTES ? alloc(size) : large_alloc(size, 1, &is_zero);
	memcheck_alloc(p, size, is_zero);
	if (p && !is_zero)
		memset(p, 0, size);
	return p;
}

void *heap_alloc_aligned(size_t alignment, size_t size)
{
	void *p;
	bool is_zero;
	const size_t rounded = round_up(size ? size : 1, alignment);
	if (rounded < size)
		return NULL;
	if (alignment <= HEAP_PAGE_BYTES && rounded <= SIZECLASS_MAX_BYTES)
		p = alloc(rounded); /* sizeclass.c: the class is a multiple of the alignment */
	else
		p = large_alloc(alignment <= ALIGN_WHOLE_MAX ? rounded : size,
				alignment <= HEAP_PAGE_BYTES ? 1 : alignment / HEAP_PAGE_BYTES,
				&is_zero);
	memcheck_alloc(p, size, 0);
	return p;
}

/* A pointer free() was given: its span, its state byte, and whether it is a live block. */
struct block {
	struct layout_span *span;
	uint8_t *state;
	bool is_live;
};

/*
 * With inverse = 2^64 / slot_bytes rounded up, the upper half of the product is the index of the
 * slot, and the lower half is less than inverse exactly when the address is the slot's first
 * byte (Lemire, Kaser, Kurz: Faster remainder by direct computation, 2019). Inverse 1, of a large
 * block, admits its first byte only, and 0 admits none.
 */
static inline struct block block_at(const void *p)
{
	struct layout_span *span = heap_span_of(p);
	const unsigned __int128 product =
		(unsigned __int128)(uint64_t)((const char *)p - span->start) * span->inverse;
	uint8_t *slot_state = span->states + (uint64_t)(product >> 64);
	return (struct block){span, slot_state,
			      (uint64_t)product < span->inverse &&
				      slot_state_get(slot_state) == SLOT_LIVE};
}

static _Noreturn void bad_pointer(const char *call, const void *p)
{
	const struct layout_span *span = heap_span_of(p);
	const uint64_t inside = (uint64_t)((const char *)p - span->start);

	memcheck_free(p); /* tells who allocated and freed it */
	const bool is_in_slot = span->kind == SPAN_SLAB &&
				inside / span->slot_bytes < span->slot_count;
	if (is_in_slot && inside % span->slot_bytes == 0)
		say_die(call, "%p: the block of %u bytes is not allocated (freed twice?); "
			"run the program under valgrind to find who freed it", p, span->slot_bytes);
	if (is_in_slot)
		say_die(call, "%p: points %u bytes into a block of %u; pass the pointer malloc gave",
			p, (unsigned)(inside % span->slot_bytes), span->slot_bytes);
	say_die(call, "%p: no block begins here (freed twice?); pass the pointer malloc gave", p);
}

static inline struct block block_live(const char *call, const void *p)
{
	const struct block block = block_at(p);
	if (unlikely(!block.is_live))
		bad_pointer(call, p);
	return block;
}

static void free_slow(struct block block, void *p)
{
	if (block.span->kind == SPAN_LARGE)
		large_free(block.span);
	else
		tcache_free_slow(block.span, p, block.state);
}

void heap_free(void *p)
{
	const struct block block = block_live("free()", p);
	memcheck_free(p);
	slot_state_set(block.state, SLOT_CACHED);

	/* Class 0, large blocks, has no stack: it is always at its limit. */
	struct layout_bin *bin = &tcache_self->bins[block.span->class];
	struct layout_entry *entry = bin->top;
	if (unlikely(entry == bin->limit)) {
		free_slow(block, p);
		return;
	}
	*entry = (struct layout_entry){p, block.state};
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	bin->top = entry + 1;
}

static size_t block_bytes(const struct layout_span *span)
{
	return span->slot_bytes ? span->slot_bytes : span->page_count * HEAP_PAGE_BYTES;
}

size_t heap_usable_size(const void *p)
{
	return memcheck_asked(p, block_bytes(block_live("malloc_usable_size()", p).span));
}

/* A block that has to move because it grows will grow again: room for that costs no memory until
 * it is used, and turns a byte-by-byte growth's quadratic copying into linear. */
static size_t with_room_to_grow(size_t size)
{
	return size > SIZECLASS_MAX_BYTES && size < SIZE_MAX / 2 ? size + size / 4 : size;
}

static void *realloc_moved(void *p, size_t old_size, size_t size)
{
	void *moved = size > old_size ? alloc(with_room_to_grow(size)) : NULL;
	if (!moved)
		moved = alloc(size);
	if (!moved)
		return size <= old_size ? p : NULL;
	memcheck_alloc(moved, size, 0);
	if (old_size > SIZECLASS_MAX_BYTES)
		large_populate(moved, old_size < size ? old_size : size);
	memcheck_copy(moved, p, old_size < size ? old_size : size);
	heap_free(p);
	return moved;
}

void *heap_realloc(void *p, size_t size)
{
	const struct block block = block_live("realloc()", p);
	const size_t old_size = block_bytes(block.span);

	if (MEMCHECK_ON) /* in place it would want the size once asked for, which nobody keeps */
		return realloc_moved(p, old_size, size);
	if (block.span->kind == SPAN_LARGE) {
		if (size > SIZECLASS_MAX_BYTES && large_resize(block.span, size))
			return p;
	} else if (size <= old_size && size >= old_size / 2) {
		return p;
	}
	return realloc_moved(p, old_size, size);
}

bool heap_trim(void)
{
	if (heap_range.size == 0)
		return false;
	tcache_flush();
	slab_trim();
	lock_acquire(&state.page_lock);
	const bool any = span_purge_all();
	lock_release(&state.page_lock);
	return any;
}

void heap_thread_exit(void)
{
	if (heap_range.size != 0)
		tcache_thread_exit();
}

static void every_lock(void (*operation)(struct lock *lock))
{
	for (unsigned shard = 0; shard < state.shard_count; shard++)
		for (unsigned class = 1; class < HEAP_CLASSES; class++)
			operation(&state.slab_locks[shard][class]);
	operation(&state.page_lock);
}

static void acquire(struct lock *lock)
{
	lock_acquire(lock);
}

static void release(struct lock *lock)
{
	lock_release(lock);
}

void heap_prefork(void)
{
	every_lock(acquire);
}

void heap_postfork_parent(void)
{
	every_lock(release);
}

void heap_postfork_child(void)
{
	tcache_postfork_child();
	every_lock(release);
}
