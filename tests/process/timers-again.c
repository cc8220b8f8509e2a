/*
 * Timers of a kind that is easily made again as another: those stopped halfway, those of a thread,
 * and of its time on the processor.
 */
#include <signal.h>
#include <sys/time.h>

#include "killed.h"

#define LIVES 3

/* ---- Stopped, by a program that has set its next time alone to 0 ---- */

static void stop_halfway(void)
{
	const struct itimerval stopped = {.it_interval.tv_usec = 10000};

	MUST(setitimer(ITIMER_PROF, &stopped, NULL) == 0);
	MUST(setitimer(ITIMER_VIRTUAL, &stopped, NULL) == 0);
}

static void check_stopped(void)
{
	struct itimerval now;

	MUST(getitimer(ITIMER_PROF, &now) == 0 && !now.it_value.tv_sec && !now.it_value.tv_usec);
	MUST(getitimer(ITIMER_VIRTUAL, &now) == 0 && !now.it_value.tv_sec && !now.it_value.tv_usec);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	stop_halfway();
	for (int life = 1; life < LIVES; life++) {
		die();
		check_stopped();
	}
	return failures != 0;
}
