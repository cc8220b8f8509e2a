/*
 * Thread caches: what makes malloc and free a few instructions without a lock.
 *
 * heap.c has the fast paths inline; here is what they fall back to.
 */
#pragma once

#include "state.h"

/* This thread's cache. Never NULL: until a thread has one, and after it has given it back, it is
 * a cache of no capacity, so that the fast paths need not ask. */
extern _Thread_local struct layout_tcache *tcache_self
	__attribute__((tls_model("initial-exec")));

/* tcache_alloc_slow() - the stack and the run are empty: refill; NULL: no memory */
void *tcache_alloc_slow(unsigned class);

/* tcache_free_slow() - the stack is full: give the older half to the slabs, then cache this one,
 * which is CACHED already */
void tcache_free_slow(struct layout_span *span, char *slot, uint8_t *slot_state);

/* tcache_free_cold() - to its slab, past the cache: on the stack it would be handed out next, and
 * dirty a page that is clean; a slab whose turn it is has many free slots in each */
void tcache_free_cold(struct layout_span *span, char *slot, uint8_t *slot_state);

/* Bytes of a thread cache, its entries included. */
size_t tcache_bytes(void);

void tcache_thread_exit(void);
/* tcache_suspend() - until tcache_resume() every call of this thread takes the slow path, and is
 * served from its cache there; frees must not come as far as this */
void tcache_suspend(void);
void tcache_resume(void);
/* In a forked child: only the forking thread's cache has a thread. The page lock is held. */
void tcache_postfork_child(void);
/* Give back all this thread caches, and keep the cache. */
void tcache_flush(void);
/* tcache_orphans_wait() - caches of older generations may hold slots: let them be looked for. The
 * page lock is held, or nobody else is there. */
void tcache_orphans_wait(void);
/* tcache_empty_orphans() - give back all that caches without a thread hold; false: nothing */
bool tcache_empty_orphans(void);
/* Forget this thread's cache, after the heap is gone. Tests. */
void tcache_reset(void);

/* The run of a bin, as two indices: one word, so that it changes at once. */
HEAP_INLINE uint32_t run_next(uint64_t run)
{
	return (uint32_t)run;
}

HEAP_INLINE uint32_t run_stop(uint64_t run)
{
	return (uint32_t)(run >> 32);
}

HEAP_INLINE bool run_is_empty(uint64_t run)
{
	return run_next(run) == run_stop(run);
}

HEAP_INLINE void *slot_hand_out(char *slot, uint8_t *slot_state)
{
	slot_state_set(slot_state, slot_state_live());
	return slot;
}

/* Neither is empty: see struct layout_bin for the order of the stores. */
HEAP_INLINE void *stack_pop(struct layout_bin *bin)
{
	const struct layout_entry *entry = bin->top - 1;
	bin->top--;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	return slot_hand_out(entry->slot, entry->state);
}

HEAP_INLINE void *run_pop(struct layout_bin *bin)
{
	const uint32_t next = run_next(bin->run);
	bin->run++;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	return slot_hand_out(bin->run_slots + (size_t)next * bin->slot_bytes,
			     bin->run_states + next);
}
