/*
 * A lock of four bytes: one compare-and-swap when free, a short spin, then sleep in the kernel.
 *
 * Locks are not part of the image: they stand in process memory, and no cut falls inside the
 * allocator, so an image never holds a half-done operation.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "os.h"

struct lock {
	_Atomic uint32_t word; /* 0 free, 1 held, 2 held and somebody sleeps */
};

void lock_acquire_slow(struct lock *lock);

static inline bool lock_try(struct lock *lock)
{
	uint32_t free = 0;

	return atomic_compare_exchange_strong_explicit(&lock->word, &free, 1, memory_order_acquire,
						       memory_order_relaxed);
}

static inline void lock_acquire(struct lock *lock)
{
	if (!lock_try(lock))
		lock_acquire_slow(lock);
}

static inline void lock_release(struct lock *lock)
{
	if (atomic_exchange_explicit(&lock->word, 0, memory_order_release) == 2)
		os_futex_wake((uint32_t *)&lock->word, 1);
}
