/* No store is lost while threads store to the range that is collected. */
#include "tracked.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

/* Threads store while pages are collected and copied; after one collect when they stand still,
 * the copy must be the memory. A thread may map parts anew meanwhile, in front of the others'. */
#define STORM_PAGES 512
#define STORM_FRONT 64
#define STORM_THREADS 2

static volatile bool storm_ends;
static char *storm_range;
static char storm_copy[STORM_PAGES * 4096];
static atomic_uint storm_steps;

static void *storm(void *seed)
{
	uint64_t state = (uintptr_t)seed;

	while (!storm_ends) {
		state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
		uint64_t *word = (uint64_t *)(void *)storm_range + (state >> 33) % (STORM_PAGES * 512);
		__atomic_store_n(word, state, __ATOMIC_RELAXED);
		storm_steps++;
	}
	return NULL;
}

static void *storm_map(void *unused)
{
	for (unsigned i = 0; !storm_ends; i++) {
		char *part = range + i % 7 * 8 * PAGE;
		mmap(part, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		     -1, 0);
		part[0] = 1;
		if (i % 2)
			track_renew(&track, part, 8 * PAGE);
	}
	return NULL;
}

static void storm_take(void *context, char *start, size_t len)
{
	if (start + len <= storm_range)
		return;
	size_t skipped = start < storm_range ? (size_t)(storm_range - start) : 0;
	memcpy(storm_copy + (start + skipped - storm_range), start + skipped, len - skipped);
}

static void run_storm(bool is_mapping)
{
	pthread_t threads[STORM_THREADS + 1];
	size_t count = STORM_THREADS;

	open_range(STORM_FRONT + STORM_PAGES);
	storm_range = range + STORM_FRONT * PAGE;
	for (size_t round = 0; round < 10; round++) {
		storm_ends = false;
		for (size_t i = 0; i < STORM_THREADS; i++)
			pthread_create(&threads[i], NULL, storm, (void *)(round * 8 + i));
		if (is_mapping)
			pthread_create(&threads[count++], NULL, storm_map, NULL);
		for (int i = 0; i < 30; i++) {
			unsigned before = storm_steps;
			cr_assert_eq(track_collect(&track, storm_take, NULL), 0);
			while (storm_steps - before < 300)
				sched_yield();
		}
		storm_ends = true;
		while (count)
			pthread_join(threads[--count], NULL);
		count = STORM_THREADS;
		cr_assert_eq(track_collect(&track, storm_take, NULL), 0);
		cr_assert_eq(memcmp(storm_range, storm_copy, sizeof(storm_copy)), 0,
			     "round %zu", round);
	}
	close_range_tracked();
}

Test(wp, no_store_is_lost_while_threads_run)
{
	run_storm(false);
}

Test(wp, no_store_is_lost_while_parts_are_mapped_anew)
{
	run_storm(true);
}
