/*
 * Threads of every kind, and somebody who makes them stand still again and again.
 *
 * Each thread has a pair of counters; it makes one larger, and a moment later the other. Those that
 * do it in a section must be found equal at each cut; whatever they do, no counter may change while
 * a cut is held. The one who cuts is an ordinary thread that says nothing of itself, like the
 * committer.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "arena.h"
#include "checkpoint/cut.h"

/* In a process of its own: Criterion's has a thread that we know nothing of. */
#define CUT_TEST(name)                                                                             \
	static void name(void *unused);                                                            \
	Test(cut, name)                                                                            \
	{                                                                                          \
		arena_assert_child(name, NULL);                                                    \
	}                                                                                          \
	static void name(void *unused)

#define THREADS_MAX 64
#define CUTTING_MS UINT64_C(1000000)
#define CUTTING_INTERVAL_NS (10 * CUTTING_MS)

struct worker {
	volatile uint64_t first, second;
	pthread_t thread;
	bool is_loose; /* its pair may be found unequal */
	char gap[64];
};

struct cutting {
	unsigned wanted, taken, given_up, forced, torn, moved;
	uint64_t interval_ns;
	struct cut_report last;
};

extern struct worker workers[THREADS_MAX];
extern unsigned worker_count;
extern unsigned thinking_us; /* between two doings */
extern _Atomic bool is_over;
extern pthread_mutex_t shared_lock;

void sleep_us(unsigned us);

/* As preload/ wraps libc's. */
void worker_lock(pthread_mutex_t *mutex);
bool worker_try_lock(pthread_mutex_t *mutex);
void worker_unlock(pthread_mutex_t *mutex);

/* worker_start() - does it again and again, until all is over */
void worker_start(void (*doing)(struct worker *worker));
void worker_change(struct worker *worker);
void in_tx(struct worker *worker);
void under_shared_lock(struct worker *worker);
uint64_t worker_sum(void); /* of all counters */

void cutting_open(void);
/* cutting_run() - so many cuts, and then all is over; the calling thread is parked meanwhile */
void cutting_run(struct cutting *cutting);
void cutting_assert_still(const struct cutting *cutting);
