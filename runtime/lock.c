/* The slow half of lock.h: spin while the holder is likely to finish, then sleep. */
#include "lock.h"

#define SPINS 64

static inline void relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#endif
}

void lock_acquire_slow(struct lock *lock)
{
	for (int i = 0; i < SPINS; i++) {
		uint32_t free = 0;
		if (atomic_load_explicit(&lock->word, memory_order_relaxed) == 0 &&
		    atomic_compare_exchange_weak_explicit(&lock->word, &free, 1,
							  memory_order_acquire,
							  memory_order_relaxed))
			return;
		relax();
	}
	while (atomic_exchange_explicit(&lock->word, 2, memory_order_acquire) != 0)
		os_futex_wait((uint32_t *)&lock->word, 2, NULL);
}
