/*
 * The heap's face: malloc's family in terms of thread caches, slabs and spans.
 *
 * The fast paths are here, whole: malloc is a size class, a pop from the thread's stack or run,
 * and one state byte; free is the pagemap (which span?), a multiplication (which slot?), the state
 * byte (is it live?) and a push. No user byte is touched. All else stands behind their unlikely
 * branches: no cache yet, an empty one, a full one, large blocks, invalid pointers.
 *
 * What changes the heap is HEAP_TEXT, and inside wherever it calls out of it (inside.h).
 */
#include "heap.h"

#include "check.h"
#include "large.h"
#include "memcheck.h"
#include "sizeclass.h"
#include "slab.h"
#include "span.h"
#include "state.h"
#include "tcache.h"
#include "undo.h"

#define ALIGN_WHOLE_MAX (8 * HEAP_PAGE_BYTES) /* such blocks leave no holes */

struct heap_state state;
struct heap_range heap_range;

static void *noted(void *p)
{
	return likely(!undo_is_active()) ? p : undo_note_alloc(p);
}

/* The caches of threads that are no more may hold what is missing. */
static HEAP_TEXT void *alloc_large(size_t size, size_t align_pages, bool *ret_is_zero)
{
	inside_enter();
	void *p = large_alloc(size, align_pages, ret_is_zero);
	if (unlikely(!p) && tcache_empty_orphans())
		p = large_alloc(size, align_pages, ret_is_zero);
	p = noted(p);
	inside_leave();
	return p;
}

static HEAP_TEXT void *alloc_slot(unsigned class)
{
	inside_enter();
	void *p = tcache_alloc_slow(class);
	if (unlikely(!p) && tcache_empty_orphans())
		p = tcache_alloc_slow(class);
	p = noted(p);
	inside_leave();
	return p;
}

static HEAP_TEXT void *alloc_slow(size_t size)
{
	bool is_zero;
	return size <= SIZECLASS_MAX_BYTES ? alloc_slot(sizeclass_of(size)) :
					     alloc_large(size, 1, &is_zero);
}

static HEAP_TEXT void *alloc_slow_or_report(size_t size)
{
	void *p = alloc_slow(size);
	if (unlikely(!p) && state.memory.alloc_failed)
		state.memory.alloc_failed(state.memory.context, size);
	return p;
}

HEAP_INLINE void *alloc_or(size_t size, void *(*slow)(size_t))
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

HEAP_INLINE void *alloc(size_t size)
{
	return alloc_or(size, alloc_slow);
}

HEAP_TEXT void *heap_alloc(size_t size)
{
	void *p = alloc_or(size, alloc_slow_or_report);
	memcheck_alloc(p, size, 0);
	return p;
}

HEAP_TEXT void *heap_alloc_zeroed(size_t size)
{
	bool is_zero = false;
	void *p = size <= SIZECLASS_MAX_BYTES ? alloc(size) : alloc_large(size, 1, &is_zero);
	memcheck_alloc(p, size, is_zero);
	if (p && !is_zero)
		memset(p, 0, size);
	return p;
}

HEAP_TEXT void *heap_alloc_aligned(size_t alignment, size_t size)
{
	void *p;
	bool is_zero;
	const size_t rounded = heap_round_up(size ? size : 1, alignment);
	if (rounded < size)
		return NULL;
	if (alignment <= HEAP_PAGE_BYTES && rounded <= SIZECLASS_MAX_BYTES)
		p = alloc(rounded); /* sizeclass.c: the class is a multiple of the alignment */
	else
		p = alloc_large(alignment <= ALIGN_WHOLE_MAX ? rounded : size,
				alignment <= HEAP_PAGE_BYTES ? 1 : alignment / HEAP_PAGE_BYTES,
				&is_zero);
	memcheck_alloc(p, size, 0);
	return p;
}

/* A pointer free() was given: its span, its state byte, and whether it is a live block; if so, one
 * handed out since the last epoch? */
struct block {
	struct layout_span *span;
	uint8_t *state;
	bool is_live;
	bool is_warm;
};

/*
 * With inverse = 2^64 / slot_bytes rounded up, the upper half of the product is the index of the
 * slot, and the lower half is less than inverse exactly when the address is the slot's first
 * byte (Lemire, Kaser, Kurz: Faster remainder by direct computation, 2019). Inverse 1, of a large
 * block, admits its first byte only, and 0 admits none.
 */
HEAP_INLINE struct block block_at(const void *p)
{
	struct layout_span *span = heap_span_of(p);
	const unsigned __int128 product =
		(unsigned __int128)(uint64_t)((const char *)p - span->start) * span->inverse;
	uint8_t *slot_state = span->states + (uint64_t)(product >> 64);
	const bool is_start = (uint64_t)product < span->inverse;
	const uint8_t value = likely(is_start) ? slot_state_get(slot_state) : SLOT_FREE;
	return (struct block){span, slot_state, slot_state_is_live(value),
			      value == slot_state_live()};
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

HEAP_INLINE struct block block_live(const char *call, const void *p)
{
	const struct block block = block_at(p);
	if (unlikely(!block.is_live))
		bad_pointer(call, p);
	return block;
}

static HEAP_TEXT void free_slow(struct block block, void *p)
{
	inside_enter();
	if (unlikely(undo_is_active()))
		undo_note_free(p);
	else if (block.span->kind == SPAN_LARGE)
		large_free(block.span);
	else if (block.is_warm)
		tcache_free_slow(block.span, p, block.state);
	else
		tcache_free_cold(block.span, p, block.state);
	inside_leave();
}

static HEAP_TEXT void free_cold(struct block block, void *p)
{
	if (unlikely(!block.is_live))
		bad_pointer("free()", p);
	memcheck_free(p);
	slot_state_set(block.state, SLOT_CACHED);
	free_slow(block, p);
}

HEAP_TEXT void heap_free(void *p)
{
	const struct block block = block_at(p);
	if (unlikely(!block.is_warm)) {
		free_cold(block, p);
		return;
	}
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

void heap_begin_epoch(void)
{
	__atomic_store_n(&state.live, (uint8_t)(state.live + 2), __ATOMIC_RELAXED);
	__atomic_store_n(&state.has_epochs, true, __ATOMIC_RELAXED);
}

static HEAP_TEXT void *realloc_moved(void *p, size_t old_size, size_t size)
{
	inside_enter();
	void *moved = size > old_size ? alloc(with_room_to_grow(size)) : NULL;
	if (!moved)
		moved = alloc(size);
	if (moved) {
		memcheck_alloc(moved, size, 0);
		if (old_size > SIZECLASS_MAX_BYTES)
			large_populate(moved, old_size < size ? old_size : size);
		memcheck_copy(moved, p, old_size < size ? old_size : size);
		heap_free(p);
	} else if (size <= old_size && !undo_is_active()) {
		moved = p;
	}
	inside_leave();
	return moved;
}

HEAP_TEXT void *heap_realloc(void *p, size_t size)
{
	const struct block block = block_live("realloc()", p);
	const size_t old_size = block_bytes(block.span);

	if (unlikely(undo_is_active()))
		return realloc_moved(p, old_size, size);
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
	if (!heap_is_there())
		return false;
	inside_enter();
	tcache_flush();
	(void)tcache_empty_orphans();
	slab_trim();
	lock_acquire(&state.page_lock);
	const bool any = span_purge_all();
	lock_release(&state.page_lock);
	inside_leave();
	return any;
}

int heap_forget(void *start, size_t len)
{
	inside_enter();
	lock_acquire(&state.page_lock);
	const int error = state.memory.purge(state.memory.context, heap_offset(start), len);
	lock_release(&state.page_lock);
	inside_leave();
	return error;
}

void heap_thread_exit(void)
{
	inside_enter();
	undo_thread_exit();
	if (heap_is_there())
		tcache_thread_exit();
	inside_leave();
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
	inside_enter();
	every_lock(acquire);
}

void heap_postfork_parent(void)
{
	every_lock(release);
	inside_leave();
}

void heap_postfork_child(void)
{
	tcache_postfork_child();
	every_lock(release);
	inside_leave();
}
