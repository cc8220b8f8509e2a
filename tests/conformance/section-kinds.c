/*
 * POSIX: what each kind of mutex says when it is locked again, unlocked by another or tried; locks
 * that time out; clocks that no lock knows. The same with epochs as without.
 * with: HEAPSAKE_KEEP=heap
 * with: HEAPSAKE_INTERVAL=1ms
 * with: HEAPSAKE_LOG=error
 * only: shared inert
 */
#include "must.h"

#include <threads.h>
#include <time.h>

static pthread_mutex_t made(int kind)
{
	pthread_mutexattr_t attributes;
	pthread_mutex_t mutex;

	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_settype(&attributes, kind);
	pthread_mutex_init(&mutex, &attributes);
	return mutex;
}

static pthread_mutex_t checked, recursive;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_spinlock_t spin;

static struct timespec soon(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	time.tv_nsec += 5000000;
	return time.tv_nsec < 1000000000 ? time : (struct timespec){time.tv_sec + 1, 0};
}

static void *from_elsewhere(void *unused)
{
	struct timespec real = soon(CLOCK_REALTIME), monotonic = soon(CLOCK_MONOTONIC);

	MUST(pthread_mutex_unlock(&checked) == EPERM && pthread_mutex_unlock(&recursive) == EPERM);
	MUST(pthread_mutex_trylock(&checked) == EBUSY && pthread_mutex_trylock(&recursive) == EBUSY);
	MUST(pthread_mutex_timedlock(&checked, &real) == ETIMEDOUT);
	MUST(pthread_mutex_clocklock(&recursive, CLOCK_MONOTONIC, &monotonic) == ETIMEDOUT);
	MUST(pthread_rwlock_tryrdlock(&rwlock) == EBUSY && pthread_rwlock_trywrlock(&rwlock) == EBUSY);
	MUST(pthread_rwlock_timedrdlock(&rwlock, &real) == ETIMEDOUT);
	MUST(pthread_rwlock_clockwrlock(&rwlock, CLOCK_MONOTONIC, &monotonic) == ETIMEDOUT);
	MUST(pthread_spin_trylock(&spin) == EBUSY);
	return NULL;
}

int main(void)
{
	pthread_t thread;
	mtx_t mtx;

	checked = made(PTHREAD_MUTEX_ERRORCHECK);
	recursive = made(PTHREAD_MUTEX_RECURSIVE);
	pthread_spin_init(&spin, 0);
	MUST(mtx_init(&mtx, mtx_plain) == thrd_success);
	for (int i = 0; i < 20; i++) {
		MUST(pthread_mutex_lock(&checked) == 0 && pthread_mutex_lock(&checked) == EDEADLK);
		MUST(pthread_mutex_lock(&recursive) == 0 && pthread_mutex_lock(&recursive) == 0);
		MUST(pthread_rwlock_wrlock(&rwlock) == 0 && pthread_rwlock_wrlock(&rwlock) == EDEADLK);
		MUST(pthread_spin_lock(&spin) == 0);
		MUST(mtx_lock(&mtx) == thrd_success && mtx_trylock(&mtx) == thrd_busy);
		MUST(pthread_create(&thread, NULL, from_elsewhere, NULL) == 0);
		pthread_join(thread, NULL);
		MUST(mtx_unlock(&mtx) == thrd_success && pthread_spin_unlock(&spin) == 0);
		MUST(pthread_rwlock_unlock(&rwlock) == 0 && pthread_mutex_unlock(&checked) == 0);
		MUST(pthread_mutex_unlock(&recursive) == 0 && pthread_mutex_unlock(&recursive) == 0);
		MUST(pthread_mutex_unlock(&checked) == EPERM && pthread_mutex_unlock(&recursive) == EPERM);
	}
	struct timespec until = soon(CLOCK_REALTIME);
	MUST(pthread_mutex_clocklock(&checked, CLOCK_BOOTTIME, &until) == EINVAL);
	MUST(pthread_rwlock_clockrdlock(&rwlock, CLOCK_PROCESS_CPUTIME_ID, &until) == EINVAL);
}
