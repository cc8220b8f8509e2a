/*
 * Absent: how many of those who were told to stop have not come yet.
 *
 * The problem: a stop that takes too long is given up and the next one begins, while some thread
 * still is on its way to the one before: it would count itself in, and then again when it hears of
 * the new one; so one other would be believed to stand who runs. The trick: the number and the
 * stop's generation are one word. The guarantee: who comes to a stop that is over changes nothing.
 *
 * One thread, which begins, adds and sleeps; any come.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "os.h"

struct absent {
	uint64_t word; /* generation << 32 | ABSENT_IS_AWAITED | number; the lower half is the futex
			*/
};

#define ABSENT_IS_AWAITED UINT32_C(0x80000000)

static inline uint32_t *absent_futex(struct absent *absent)
{
	return (uint32_t *)&absent->word; /* x86-64 and AArch64 are little-endian */
}

static inline uint32_t absent_count(struct absent *absent)
{
	return (uint32_t)__atomic_load_n(&absent->word, __ATOMIC_ACQUIRE) & ~ABSENT_IS_AWAITED;
}

static inline void absent_begin(struct absent *absent, uint32_t generation)
{
	__atomic_store_n(&absent->word, (uint64_t)generation << 32, __ATOMIC_RELEASE);
}

static inline void absent_add(struct absent *absent)
{
	__atomic_add_fetch(&absent->word, 1, __ATOMIC_ACQ_REL);
}

/* One less: it stands, or has ended, or was never told. False: that stop is over. */
static inline bool absent_come(struct absent *absent, uint32_t generation)
{
	uint64_t word = __atomic_load_n(&absent->word, __ATOMIC_ACQUIRE);

	do {
		if ((uint32_t)(word >> 32) != generation)
			return false;
	} while (!__atomic_compare_exchange_n(&absent->word, &word, word - 1, true,
					      __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
	if ((uint32_t)(word - 1) == ABSENT_IS_AWAITED)
		os_futex_wake(absent_futex(absent), 1);
	return true;
}

/* Sleeps until all have come, or the time is over. Returns how many have not. *ret_result is what
 * the kernel says of the sleep */
static inline uint32_t absent_await(struct absent *absent, const struct timespec *most,
				    long *ret_result)
{
	uint64_t *word = &absent->word;
	const uint32_t left =
		(uint32_t)__atomic_or_fetch(word, (uint64_t)ABSENT_IS_AWAITED, __ATOMIC_ACQ_REL);

	*ret_result =
		left == ABSENT_IS_AWAITED ? 0 : os_futex_wait(absent_futex(absent), left, most);
	return (uint32_t)__atomic_and_fetch(word, ~(uint64_t)ABSENT_IS_AWAITED, __ATOMIC_ACQ_REL);
}
