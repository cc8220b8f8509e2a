/*
 * Calls that wait for something to happen, for time to pass, or for a process or thread: the thread
 * is parked in them. A lock held across a wait for events is none that guards data for a moment:
 * from then on it is lifelong.
 *
 * The stop signal is never sent to a parked thread, so these calls end no earlier for it. Under
 * keep=process nobody is parked, and those that the kernel does not restart go on by undisturbed.h.
 */
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/wait.h>
#include <threads.h>
#include <unistd.h>

#include "park.h"
#include "undisturbed.h"

static bool does_wait(const struct timespec *timeout)
{
	return !timeout || timeout->tv_sec != 0 || timeout->tv_nsec != 0;
}

INTERPOSE int poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
	struct timeout left = timeout_of_ms(timeout_ms);

	return EVENT(timeout_ms != 0, UNDISTURBED_TIMED(&left,
		REAL(poll)(fds, count, MS_LEFT(&left, timeout_ms))));
}

INTERPOSE int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
		    const sigset_t *mask)
{
	struct timeout left = timeout_of_time(timeout);

	return EVENT(does_wait(timeout), UNDISTURBED_TIMED(&left,
		REAL(ppoll)(fds, count, TIME_LEFT(&left, timeout), mask)));
}

static struct timeout timeout_of_select(const struct timeval *timeout)
{
	return timeout_of_ns(timeout ? timeout_ns((uint64_t)timeout->tv_sec,
						  (uint64_t)timeout->tv_usec * 1000) : TIMEOUT_NEVER);
}

/* The kernel leaves there what is left, whatever it returns. */
static struct timeval *select_left(struct timeout *left, struct timeval *timeout)
{
	if (timeout && timeout_has_run(left)) {
		const uint64_t ns = timeout_left_ns(left);
		timeout->tv_sec = (time_t)(ns / 1000000000);
		timeout->tv_usec = (suseconds_t)(ns % 1000000000 / 1000);
	}
	return timeout;
}

INTERPOSE int select(int count, fd_set *reads, fd_set *writes, fd_set *others,
		     struct timeval *timeout)
{
	const bool waits = !timeout || timeout->tv_sec != 0 || timeout->tv_usec != 0;
	struct timeout left = timeout_of_select(timeout);

	return EVENT(waits, UNDISTURBED_TIMED(&left,
		REAL(select)(count, reads, writes, others, select_left(&left, timeout))));
}

INTERPOSE int pselect(int count, fd_set *reads, fd_set *writes, fd_set *others,
		      const struct timespec *timeout, const sigset_t *mask)
{
	struct timeout left = timeout_of_time(timeout);

	return EVENT(does_wait(timeout), UNDISTURBED_TIMED(&left,
		REAL(pselect)(count, reads, writes, others, TIME_LEFT(&left, timeout), mask)));
}

INTERPOSE int epoll_wait(int fd, struct epoll_event *events, int count, int timeout_ms)
{
	struct timeout left = timeout_of_ms(timeout_ms);

	return EVENT(timeout_ms != 0, UNDISTURBED_TIMED(&left,
		REAL(epoll_wait)(fd, events, count, MS_LEFT(&left, timeout_ms))));
}

INTERPOSE int epoll_pwait(int fd, struct epoll_event *events, int count, int timeout_ms,
			  const sigset_t *mask)
{
	struct timeout left = timeout_of_ms(timeout_ms);

	return EVENT(timeout_ms != 0, UNDISTURBED_TIMED(&left,
		REAL(epoll_pwait)(fd, events, count, MS_LEFT(&left, timeout_ms), mask)));
}

INTERPOSE int epoll_pwait2(int fd, struct epoll_event *events, int count,
			   const struct timespec *timeout, const sigset_t *mask)
{
	struct timeout left = timeout_of_time(timeout);

	return EVENT(does_wait(timeout), UNDISTURBED_TIMED(&left,
		REAL(epoll_pwait2)(fd, events, count, TIME_LEFT(&left, timeout), mask)));
}

INTERPOSE int pause(void)
{
	return EVENT(true, UNDISTURBED(REAL(pause)()));
}

INTERPOSE int sigsuspend(const sigset_t *mask)
{
	return EVENT(true, UNDISTURBED(REAL(sigsuspend)(mask)));
}

INTERPOSE int sigwait(const sigset_t *set, int *signal)
{
	return EVENT(true, REAL(sigwait)(set, signal));
}

INTERPOSE int sigwaitinfo(const sigset_t *set, siginfo_t *info)
{
	return EVENT(true, UNDISTURBED(REAL(sigwaitinfo)(set, info)));
}

INTERPOSE int sigtimedwait(const sigset_t *set, siginfo_t *info, const struct timespec *timeout)
{
	struct timeout left = timeout_of_time(timeout);

	return EVENT(does_wait(timeout), UNDISTURBED_TIMED(&left,
		REAL(sigtimedwait)(set, info, TIME_LEFT(&left, timeout))));
}

/* What is left is told only if a handler ended the sleep: `left` may be the very `time`. */
static int sleep_result(int result, const struct timespec *rest, struct timespec *left)
{
	if (unlikely(result != 0 && left))
		*left = *rest;
	return result;
}

INTERPOSE int nanosleep(const struct timespec *time, struct timespec *left)
{
	struct timeout timeout = timeout_of_time(time);
	struct timespec rest = left ? *left : (struct timespec){0, 0};

	return sleep_result(PARKED(UNDISTURBED_TIMED(&timeout,
		REAL(nanosleep)(TIME_LEFT(&timeout, time), &rest))), &rest, left);
}

/* Setting the clock does not change what is left of a relative time. */
static struct timeout timeout_of_clock(clockid_t clock, int flags, const struct timespec *time)
{
	if (likely(!process_is_kept) || flags & TIMER_ABSTIME)
		return timeout_of_ns(TIMEOUT_NEVER);
	return timeout_begin(clock == CLOCK_REALTIME ? CLOCK_MONOTONIC : clock,
			     timeout_ns((uint64_t)time->tv_sec, (uint64_t)time->tv_nsec));
}

INTERPOSE int clock_nanosleep(clockid_t clock, int flags, const struct timespec *time,
			      struct timespec *left)
{
	struct timeout timeout = timeout_of_clock(clock, flags, time);
	struct timespec rest = left ? *left : (struct timespec){0, 0};

	return sleep_result(PARKED(UNDISTURBED_UNLESS(slept == EINTR, slept, (timeout.is_again = true),
		REAL(clock_nanosleep)(clock, flags, TIME_LEFT(&timeout, time), &rest))), &rest,
		flags & TIMER_ABSTIME ? NULL : left);
}

INTERPOSE int usleep(useconds_t us)
{
	struct timeout left = timeout_of_ns((uint64_t)us * 1000);

	return PARKED(UNDISTURBED_TIMED(&left,
		REAL(usleep)(timeout_has_run(&left) ? (useconds_t)((timeout_left_ns(&left) + 999) / 1000) : us)));
}

INTERPOSE unsigned sleep(unsigned seconds)
{
	struct timespec time = {.tv_sec = seconds};

	if (unlikely(process_is_kept)) /* it knows whole seconds only */
		return nanosleep(&time, &time) == 0 ? 0 : (unsigned)time.tv_sec;
	return PARKED(REAL(sleep)(seconds));
}

INTERPOSE int thrd_sleep(const struct timespec *time, struct timespec *left)
{
	struct timeout timeout = timeout_of_time(time);
	struct timespec rest = left ? *left : (struct timespec){0, 0};

	return sleep_result(PARKED(UNDISTURBED_UNLESS(slept == -1, slept, (timeout.is_again = true),
		REAL(thrd_sleep)(TIME_LEFT(&timeout, time), &rest))), &rest, left);
}

INTERPOSE pid_t wait(int *status)
{
	return PARKED(REAL(wait)(status));
}

INTERPOSE pid_t waitpid(pid_t pid, int *status, int options)
{
	return PARKED(REAL(waitpid)(pid, status, options));
}

INTERPOSE int waitid(idtype_t type, id_t id, siginfo_t *info, int options)
{
	return PARKED(REAL(waitid)(type, id, info, options));
}

INTERPOSE pid_t wait3(int *status, int options, struct rusage *usage)
{
	return PARKED(REAL(wait3)(status, options, usage));
}

INTERPOSE pid_t wait4(pid_t pid, int *status, int options, struct rusage *usage)
{
	return PARKED(REAL(wait4)(pid, status, options, usage));
}

INTERPOSE int system(const char *command)
{
	return PARKED(REAL(system)(command));
}

INTERPOSE int sem_wait(sem_t *semaphore)
{
	return PARKED(UNDISTURBED(REAL(sem_wait)(semaphore)));
}

INTERPOSE int sem_timedwait(sem_t *semaphore, const struct timespec *until)
{
	return PARKED(UNDISTURBED(REAL(sem_timedwait)(semaphore, until)));
}

INTERPOSE int sem_clockwait(sem_t *semaphore, clockid_t clock, const struct timespec *until)
{
	return PARKED(UNDISTURBED(REAL(sem_clockwait)(semaphore, clock, until)));
}

INTERPOSE int pthread_join(pthread_t thread, void **result)
{
	return PARKED(REAL(pthread_join)(thread, result));
}

INTERPOSE int pthread_timedjoin_np(pthread_t thread, void **result, const struct timespec *until)
{
	return PARKED(REAL(pthread_timedjoin_np)(thread, result, until));
}

INTERPOSE int pthread_clockjoin_np(pthread_t thread, void **result, clockid_t clock,
				   const struct timespec *until)
{
	return PARKED(REAL(pthread_clockjoin_np)(thread, result, clock, until));
}

INTERPOSE int thrd_join(thrd_t thread, int *result)
{
	return PARKED(REAL(thrd_join)(thread, result));
}

INTERPOSE int pthread_barrier_wait(pthread_barrier_t *barrier)
{
	return PARKED(REAL(pthread_barrier_wait)(barrier));
}

/* What _FORTIFY_SOURCE makes of poll. */
int __poll_chk(struct pollfd *fds, nfds_t count, int timeout_ms, size_t size);
int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
		const sigset_t *mask, size_t size);

INTERPOSE int __poll_chk(struct pollfd *fds, nfds_t count, int timeout_ms, size_t size)
{
	struct timeout left = timeout_of_ms(timeout_ms);

	return EVENT(timeout_ms != 0, UNDISTURBED_TIMED(&left,
		REAL(__poll_chk)(fds, count, MS_LEFT(&left, timeout_ms), size)));
}

INTERPOSE int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
			  const sigset_t *mask, size_t size)
{
	struct timeout left = timeout_of_time(timeout);

	return EVENT(does_wait(timeout), UNDISTURBED_TIMED(&left,
		REAL(__ppoll_chk)(fds, count, TIME_LEFT(&left, timeout), mask, size)));
}
