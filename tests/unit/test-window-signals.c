/* A profiler's timer interrupts fallocate on tmpfs, which then undoes what it did: growing must
 * come to an end all the same. Kernels that let only fatal signals in (seen with 6.18) cannot show
 * the difference. */
#include "crafted.h"

#include <signal.h>
#include <sys/time.h>

#include "window.h"

#define MIB ((size_t)1 << 20)
#define TIMER_US 200 /* much less than tmpfs takes for the whole range */

static volatile sig_atomic_t tick_count;

static void tick(int signal)
{
	(void)signal;
	tick_count++;
}

static void timer_set(int interval_us)
{
	const struct itimerval timer = {
		.it_interval.tv_usec = interval_us,
		.it_value.tv_usec = interval_us,
	};
	cr_assert_eq(setitimer(ITIMER_REAL, &timer, NULL), 0);
}

Test(window_signals, growing_gets_through_between_two_ticks)
{
	static struct pool pool;
	static struct window window;
	const struct sigaction action = {.sa_handler = tick};
	const struct pool_plan plan = {.size_bytes = 128 * MIB};
	char directory[] = "/dev/shm/heapsake-unit-XXXXXX", path[64];

	if (!mkdtemp(directory))
		cr_skip_test("there is no tmpfs at /dev/shm to write to");
	snprintf(path, sizeof(path), "%s/a", directory);
	cr_assert_eq(pool_create(path, &plan, &why), 0, "%s", why.line);
	cr_assert_eq(pool_open(&pool, path, POOL_OWN, &why), 0, "%s", why.line);
	cr_assert_eq(window_open(&window, WINDOW_SHARED, &pool, pool.sb.base, pool.sb.size_bytes,
				 &why), 0, "%s", why.line);
	cr_assert_eq(unlink(path), 0); /* in every case: this is memory */
	cr_assert_eq(rmdir(directory), 0);

	cr_assert_eq(sigaction(SIGALRM, &action, NULL), 0);
	timer_set(TIMER_US);
	const int error = window_grow(&window, 0, 64 * MIB);
	timer_set(0);
	cr_assert_eq(error, 0);
	cr_assert_gt(tick_count, 0);
	for (size_t at = 0; at < 64 * MIB; at += 4096)
		window.base[at] = 1;
	window_close(&window);
	pool_close(&pool);
}
