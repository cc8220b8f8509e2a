/*
 * Calls that wait for something to happen, for time to pass, or for a process or thread: the thread
 * is parked in them. A lock held across a wait for events is none that guards data for a moment:
 * from then on it is lifelong.
 *
 * The stop signal is never sent to a parked thread, so these calls end no earlier for it.
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

static bool does_wait(const struct timespec *timeout)
{
	return !timeout || timeout->tv_sec != 0 || timeout->tv_nsec != 0;
}

INTERPOSE int poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
	return EVENT(timeout_ms != 0, REAL(poll)(fds, count, timeout_ms));
}

INTERPOSE int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
		    const sigset_t *mask)
{
	return EVENT(does_wait(timeout), REAL(ppoll)(fds, count, timeout, mask));
}

INTERPOSE int select(int count, fd_set *reads, fd_set *writes, fd_set *others,
		     struct timeval *timeout)
{
	const bool waits = !timeout || timeout->tv_sec != 0 || timeout->tv_usec != 0;

	return EVENT(waits, REAL(select)(count, reads, writes, others, timeout));
}

INTERPOSE int pselect(int count, fd_set *reads, fd_set *writes, fd_set *others,
		      const struct timespec *timeout, const sigset_t *mask)
{
	return EVENT(does_wait(timeout), REAL(pselect)(count, reads, writes, others, timeout, mask));
}

INTERPOSE int epoll_wait(int fd, struct epoll_event *events, int count, int timeout_ms)
{
	return EVENT(timeout_ms != 0, REAL(epoll_wait)(fd, events, count, timeout_ms));
}

INTERPOSE int epoll_pwait(int fd, struct epoll_event *events, int count, int timeout_ms,
			  const sigset_t *mask)
{
	return EVENT(timeout_ms != 0, REAL(epoll_pwait)(fd, events, count, timeout_ms, mask));
}

INTERPOSE int epoll_pwait2(int fd, struct epoll_event *events, int count,
			   const struct timespec *timeout, const sigset_t *mask)
{
	return EVENT(does_wait(timeout), REAL(epoll_pwait2)(fd, events, count, timeout, mask));
}

INTERPOSE int pause(void)
{
	return EVENT(true, REAL(pause)());
}

INTERPOSE int sigsuspend(const sigset_t *mask)
{
	return EVENT(true, REAL(sigsuspend)(mask));
}

INTERPOSE int sigwait(const sigset_t *set, int *signal)
{
	return EVENT(true, REAL(sigwait)(set, signal));
}

INTERPOSE int sigwaitinfo(const sigset_t *set, siginfo_t *info)
{
	return EVENT(true, REAL(sigwaitinfo)(set, info));
}

INTERPOSE int sigtimedwait(const sigset_t *set, siginfo_t *info, const struct timespec *timeout)
{
	return EVENT(does_wait(timeout), REAL(sigtimedwait)(set, info, timeout));
}

INTERPOSE int nanosleep(const struct timespec *time, struct timespec *left)
{
	return PARKED(REAL(nanosleep)(time, left));
}

INTERPOSE int clock_nanosleep(clockid_t clock, int flags, const struct timespec *time,
			      struct timespec *left)
{
	return PARKED(REAL(clock_nanosleep)(clock, flags, time, left));
}

INTERPOSE int usleep(useconds_t us)
{
	return PARKED(REAL(usleep)(us));
}

INTERPOSE unsigned sleep(unsigned seconds)
{
	return PARKED(REAL(sleep)(seconds));
}

INTERPOSE int thrd_sleep(const struct timespec *time, struct timespec *left)
{
	return PARKED(REAL(thrd_sleep)(time, left));
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
	return PARKED(REAL(sem_wait)(semaphore));
}

INTERPOSE int sem_timedwait(sem_t *semaphore, const struct timespec *until)
{
	return PARKED(REAL(sem_timedwait)(semaphore, until));
}

INTERPOSE int sem_clockwait(sem_t *semaphore, clockid_t clock, const struct timespec *until)
{
	return PARKED(REAL(sem_clockwait)(semaphore, clock, until));
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
	return EVENT(timeout_ms != 0, REAL(__poll_chk)(fds, count, timeout_ms, size));
}

INTERPOSE int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
			  const sigset_t *mask, size_t size)
{
	return EVENT(does_wait(timeout), REAL(__ppoll_chk)(fds, count, timeout, mask, size));
}
