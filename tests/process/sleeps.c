/* Sleeps until moments of CLOCK_MONOTONIC that it chose long before, and looks at both clocks all the
 * while: they never go back, and no sleep ends early. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define STEPS 150
#define STEP_NS 10000000L

static long long now_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

int main(void)
{
	const long long begin = now_ns(CLOCK_MONOTONIC);
	long long last = begin, last_boot = now_ns(CLOCK_BOOTTIME);

	for (int step = 1; step <= STEPS; step++) {
		const long long until = begin + step * STEP_NS;
		const struct timespec at = {until / 1000000000, until % 1000000000};
		const int error = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
		const long long now = now_ns(CLOCK_MONOTONIC), boot = now_ns(CLOCK_BOOTTIME);

		if (error || now < until || now < last || boot < last_boot)
			return printf("step %d: %d, %lld ns early, %lld and %lld back\n", step, error,
				      until - now, last - now, last_boot - boot), 1;
		last = now;
		last_boot = boot;
		const struct timespec brief = {0, STEP_NS / 4};
		const long long before = now;
		if (nanosleep(&brief, NULL) || now_ns(CLOCK_MONOTONIC) < before + STEP_NS / 4)
			return printf("step %d: a short sleep: %d\n", step, errno), 1;
		if (step % 10 == 0)
			printf("step %d\n", step), fflush(stdout);
	}
	return fclose(stdout);
}
