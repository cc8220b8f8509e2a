/*
 * Waits a tenth of a second, again and again, in all the ways there are at once: a thread for each.
 * When all have waited it says how late it is by the monotonic clock, which only goes on. One wait
 * that has no end, since a clock was set meanwhile that it does not go by, and nothing more is said.
 */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define STEP_NS 100000000L

#define MUST(condition) \
	do { \
		if (!(condition)) { \
			printf("clock: %s is false\n", #condition); \
			exit(1); \
		} \
	} while (0)

static const struct timespec step = {0, STEP_NS};

static struct timespec now_of(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now;
}

static struct timespec in_a_step(clockid_t clock)
{
	struct timespec due = now_of(clock);

	due.tv_nsec += STEP_NS;
	due.tv_sec += due.tv_nsec / 1000000000;
	due.tv_nsec %= 1000000000;
	return due;
}

static void sleep_until(void)
{
	const struct timespec due = in_a_step(CLOCK_MONOTONIC);

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL) != 0)
		;
	const struct timespec now = now_of(CLOCK_MONOTONIC);
	if (now.tv_sec < due.tv_sec || (now.tv_sec == due.tv_sec && now.tv_nsec < due.tv_nsec))
		printf("clock went back\n");
}

/* By whatever time of day it is: setting it changes nothing for who waits for a while. */
static void sleep_for(void)
{
	MUST(clock_nanosleep(CLOCK_REALTIME, 0, &step, NULL) == 0);
}

static void poll_nothing(void)
{
	MUST(poll(NULL, 0, STEP_NS / 1000000) == 0);
}

static void wait_for_condition(void)
{
	static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
	const struct timespec due = in_a_step(CLOCK_MONOTONIC);

	pthread_mutex_lock(&mutex);
	while (pthread_cond_clockwait(&condition, &mutex, CLOCK_MONOTONIC, &due) == 0)
		;
	pthread_mutex_unlock(&mutex);
}

static void read_timer(int *timer, clockid_t clock, const struct itimerspec *time)
{
	uint64_t ticks;

	if (!*timer)
		MUST((*timer = timerfd_create(clock, 0)) > 0 && timerfd_settime(*timer, 0, time, NULL) == 0);
	else if (!time->it_interval.tv_nsec)
		MUST(timerfd_settime(*timer, 0, time, NULL) == 0);
	MUST(read(*timer, &ticks, sizeof(ticks)) == sizeof(ticks) && ticks > 0);
}

static void read_often(void)
{
	static int timer;

	read_timer(&timer, CLOCK_MONOTONIC, &(struct itimerspec){step, step});
}

static void read_once(void)
{
	static int timer;

	read_timer(&timer, CLOCK_REALTIME, &(struct itimerspec){{0, 0}, step});
}

static void take_signal(void)
{
	static timer_t timer;
	static sigset_t set;
	const struct itimerspec once = {{0, 0}, step};
	siginfo_t info;

	if (!timer) {
		struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN};
		sigemptyset(&set);
		sigaddset(&set, SIGRTMIN);
		MUST(timer_create(CLOCK_REALTIME, &event, &timer) == 0);
	}
	MUST(timer_settime(timer, 0, &once, NULL) == 0);
	while (sigwaitinfo(&set, &info) != SIGRTMIN)
		;
}

static void (*const ways[])(void) = {
	sleep_until, sleep_for, poll_nothing, wait_for_condition, read_often, read_once, take_signal,
};
#define WAYS (sizeof(ways) / sizeof(*ways))

static pthread_barrier_t all;

static void *wait_always(void *way)
{
	void (*const wait)(void) = ways[(uintptr_t)way];

	for (;;) {
		wait();
		pthread_barrier_wait(&all);
	}
	return NULL;
}

int main(void)
{
	pthread_t thread;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	pthread_barrier_init(&all, NULL, WAYS + 1);
	for (uintptr_t way = 0; way < WAYS; way++)
		MUST(pthread_create(&thread, NULL, wait_always, (void *)way) == 0);
	for (;;) {
		pthread_barrier_wait(&all);
		const struct timespec now = now_of(CLOCK_MONOTONIC);
		printf("clock %lld\n", (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000);
		fflush(stdout);
	}
}
