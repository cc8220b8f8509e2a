/*
 * Timers of a kind that is easily made again as another: those stopped halfway, those of a thread,
 * and of its time on the processor.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include <time.h>

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

/* ---- Of the only thread's time ---- */

static void count_alone(void)
{
	const struct itimerspec later = {.it_value.tv_sec = 1000};
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	struct itimerspec left;
	timer_t timer;

	MUST(timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer) == 0);
	MUST(timer_settime(timer, 0, &later, NULL) == 0);
	for (int life = 1; life < LIVES; life++) {
		die();
		MUST(timer_gettime(timer, &left) == 0 && left.it_value.tv_sec > 900);
	}
	MUST(timer_delete(timer) == 0);
}

/* ---- Of threads ---- */

static timer_t mute, mute_clock, own_time;
static _Atomic bool may_work, has_worked;
static volatile sig_atomic_t ticks;

static void on_tick(int number)
{
	(void)number;
	ticks++;
}

static void make(clockid_t clock, int notify, timer_t *ret_timer)
{
	const struct itimerspec often = {{0, 10000000}, {0, 10000000}};
	struct sigevent event = {.sigev_notify = notify, .sigev_signo = SIGUSR2};

	event._sigev_un._tid = gettid();
	MUST(timer_create(clock, &event, ret_timer) == 0);
	MUST(timer_settime(*ret_timer, 0, &often, NULL) == 0);
}

static void work(void)
{
	struct timespec begin, now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begin);
	do {
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	} while ((now.tv_sec - begin.tv_sec) * 1000 + (now.tv_nsec - begin.tv_nsec) / 1000000 < 300);
}

/* It ends, and its timers are there. */
static void *leave(void *unused)
{
	clockid_t clock;

	MUST(pthread_getcpuclockid(pthread_self(), &clock) == 0);
	make(CLOCK_MONOTONIC, SIGEV_THREAD_ID, &mute);
	make(clock, SIGEV_SIGNAL, &mute_clock);
	return unused;
}

static void *count_own(void *is_made)
{
	make(CLOCK_THREAD_CPUTIME_ID, SIGEV_THREAD_ID, &own_time);
	*(_Atomic bool *)is_made = true;
	while (!may_work)
		usleep(10000);
	work();
	has_worked = true;
	return NULL;
}

static void make_timers(void)
{
	_Atomic bool is_made = false;
	pthread_t thread;

	signal(SIGUSR2, on_tick);
	MUST(pthread_create(&thread, NULL, leave, NULL) == 0 && pthread_join(thread, NULL) == 0);
	MUST(pthread_create(&thread, NULL, count_own, (void *)&is_made) == 0);
	while (!is_made)
		usleep(1000);
}

static void check_timers(void)
{
	struct itimerspec left;

	MUST(timer_gettime(mute, &left) == 0 && timer_gettime(mute_clock, &left) == 0);
	MUST(timer_delete(mute) == 0 && timer_delete(mute_clock) == 0);
	ticks = 0;
	work();
	MUST(ticks < 10); /* the other one has hardly done anything */
	may_work = true;
	while (!has_worked)
		usleep(1000);
	MUST(ticks >= 10);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	count_alone();
	stop_halfway();
	make_timers();
	for (int life = 1; life < LIVES; life++) {
		die();
		check_stopped();
	}
	check_timers();
	return failures != 0;
}
