/* The clocks of the small benchmarks, and the middle of what they read there. */
#pragma once

#include <stdlib.h>
#include <time.h>

static inline double clock_in_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static inline double now_ns(void)
{
	return clock_in_ns(CLOCK_MONOTONIC);
}

static inline double now_us(void)
{
	return now_ns() / 1e3;
}

static inline double cpu_ns(void) /* of the calling thread */
{
	return clock_in_ns(CLOCK_THREAD_CPUTIME_ID);
}

/* For qsort(). */
static inline int compare(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static inline double median_of(double *times, size_t count)
{
	qsort(times, count, sizeof(*times), compare);
	return times[count / 2];
}
