/* Says how late it is by the monotonic clock, ten times a second, by a clock that only goes on. */
#include <stdio.h>
#include <time.h>

#define STEP_NS 100000000

int main(void)
{
	struct timespec due, now;

	clock_gettime(CLOCK_MONOTONIC, &due);
	for (;;) {
		due.tv_nsec += STEP_NS;
		due.tv_sec += due.tv_nsec / 1000000000;
		due.tv_nsec %= 1000000000;
		while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL) != 0)
			;
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec < due.tv_sec || (now.tv_sec == due.tv_sec && now.tv_nsec < due.tv_nsec)) {
			printf("clock went back\n");
			return 1;
		}
		printf("clock %lld\n", (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000);
		fflush(stdout);
	}
}
