/*
 * What a test of waits needs: a wait that is neither long nor so short that it passes unnoticed, the
 * time it must end at, and whether it ended before. WAIT_MS is the test's.
 */
#pragma once

#include <stdbool.h>
#include <time.h>

static const struct timespec wait_time = {.tv_nsec = WAIT_MS * 1000000L};

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* A wait that began then and ends now has been too short; clocks differ by a tick. For a socket the
 * kernel counts in ticks, and where the processor that does it is not running, by 5 too few. */
static bool is_early(double began)
{
	return now() - began < WAIT_MS * 0.001 - 0.005;
}
static bool is_early_socket(double began)
{
	return now() - began < WAIT_MS * 0.001 - 0.025;
}

/* Called after the wait has begun, or what is over by then is taken for early. */
static struct timespec after(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	time.tv_nsec += wait_time.tv_nsec;
	time.tv_sec += time.tv_nsec / 1000000000;
	time.tv_nsec %= 1000000000;
	return time;
}
