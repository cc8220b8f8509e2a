/*
 * Signals that wait come back as they were: in their order, and with all that came with each,
 * whoever has sent it. Nor does looking at them change anything for who goes on.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "killed.h"

#define LIVES 3

static void block(int number)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, number);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

/* It waits: its number; or else -1. */
static int take(int number, siginfo_t *ret_info)
{
	const struct timespec at_once = {0};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, number);
	return sigtimedwait(&set, ret_info, &at_once);
}

/* ---- Real-time signals: by sigqueue(), by kill(), of a descriptor ---- */

static int ends[2];

static void send_mixed(void)
{
	const int number = SIGRTMIN + 1;

	block(number);
	MUST(pipe(ends) == 0 && fcntl(ends[0], F_SETSIG, number) == 0);
	MUST(fcntl(ends[0], F_SETOWN, getpid()) == 0 && fcntl(ends[0], F_SETFL, O_ASYNC) == 0);
	MUST(sigqueue(getpid(), number, (union sigval){.sival_int = 1}) == 0);
	MUST(kill(getpid(), number) == 0);
	MUST(write(ends[1], "x", 1) == 1);
	MUST(sigqueue(getpid(), number, (union sigval){.sival_int = 4}) == 0);
}

static void take_mixed(void)
{
	const int number = SIGRTMIN + 1;
	siginfo_t info;

	MUST(take(number, &info) == number && info.si_code == SI_QUEUE && info.si_value.sival_int == 1);
	MUST(take(number, &info) == number && info.si_code == SI_USER && info.si_pid == getpid());
	MUST(take(number, &info) == number && info.si_code == POLL_IN && info.si_fd == ends[0]);
	MUST(take(number, &info) == number && info.si_code == SI_QUEUE && info.si_value.sival_int == 4);
	MUST(take(number, &info) < 0);
}

/* ---- Of the old kind: with a value, of a timer, from somebody ---- */

static void send_old(void)
{
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2};
	const struct itimerspec once = {.it_value.tv_nsec = 1};
	timer_t timer;

	block(SIGUSR1);
	block(SIGUSR2);
	block(SIGTERM);
	block(SIGTSTP);
	MUST(sigqueue(getpid(), SIGUSR1, (union sigval){.sival_int = 77}) == 0);
	event.sigev_value.sival_int = 78;
	MUST(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
	MUST(timer_settime(timer, 0, &once, NULL) == 0);
	MUST(kill(getpid(), SIGTERM) == 0 && kill(getpid(), SIGTSTP) == 0);
}

static void take_old(void)
{
	siginfo_t info;

	MUST(take(SIGUSR1, &info) == SIGUSR1 && info.si_code == SI_QUEUE && info.si_value.sival_int == 77);
	MUST(take(SIGUSR2, &info) == SIGUSR2 && info.si_code == SI_TIMER && info.si_value.sival_int == 78);
	MUST(take(SIGTERM, &info) == SIGTERM && info.si_code == SI_USER && info.si_pid == getpid());
	MUST(take(SIGTSTP, &info) == SIGTSTP && take(SIGTSTP, &info) < 0);
}

/* ---- Of a timer that nobody listens to for a while ---- */

static void leave_waiting(void)
{
	const int number = SIGRTMIN + 2;
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = number};
	const struct itimerspec often = {.it_value.tv_nsec = 1000000, .it_interval.tv_nsec = 1000000};
	static volatile long stored; /* there is something to be kept, in many epochs */
	siginfo_t info;
	timer_t timer;
	long count = 0, ticks = 0;

	block(number);
	MUST(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
	MUST(timer_settime(timer, 0, &often, NULL) == 0);
	for (int life = 1; life < LIVES; life++) {
		for (int i = 0; i < 20; i++, stored++)
			usleep(10000);
		die();
	}
	while (count < 100 && take(number, &info) == number) {
		count++;
		ticks += info.si_overrun + 1;
	}
	/* One that was put back, the timer's own, and what comes meanwhile. */
	MUST(count <= 9 && ticks >= 100 * (LIVES - 1));
	MUST(timer_delete(timer) == 0);
}

/* Each that is taken is followed by another at once: who takes them all is never done. */
static void let_it_outrun_us(void)
{
	const int number = SIGRTMIN + 3;
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = number};
	const struct itimerspec at_once = {.it_value.tv_nsec = 1, .it_interval.tv_nsec = 1};
	static volatile long stored;
	timer_t timer;

	block(number);
	MUST(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
	MUST(timer_settime(timer, 0, &at_once, NULL) == 0);
	for (int i = 0; i < 20; i++, stored++)
		usleep(10000);
	MUST(timer_delete(timer) == 0);
	MUST(signal(number, SIG_IGN) != SIG_ERR); /* what waits is gone */
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	leave_waiting();
	let_it_outrun_us();
	send_mixed();
	send_old();
	for (int life = 1; life < LIVES; life++)
		die();
	take_mixed();
	take_old();
	return failures != 0;
}
