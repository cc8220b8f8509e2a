/*
 * Locks are sections: pthread's mutexes, rwlocks and spin locks, and C11's, whose own functions
 * call none that we could stand in for.
 *
 * Each way in is the same (enter): a section begins, the lock is tried, and if it is busy the real
 * call waits for it, parked if it is the thread's first. So a lock that is free costs what it did,
 * and a few stores; while no epochs are taken it is one branch. What a lock does (recursive,
 * robust, priority inheritance) is the real function's business: trying first changes no outcome,
 * as what is refused for another reason than "busy" would be refused by the other call as well.
 */
#include <errno.h>
#include <pthread.h>
#include <threads.h>

#include "checkpoint/cut.h"
#include "real.h"
#include "revive.h"
#include "tx.h"

#define SITE __builtin_return_address(0)

/* A kind of lock: how it is made usable, tried, waited for, and given back. */
struct kind {
	enum revive_kind revive;
	int busy; /* what try returns for a lock that is held */
	int (*try)(void *lock);
	int (*wait)(void *lock, clockid_t clock, const struct timespec *until);
	int (*give)(void *lock);
};
#define NO_CLOCK ((clockid_t)-1)    /* wait for ever */
#define OLD_CLOCK ((clockid_t)-2)   /* the call without a clock: CLOCK_REALTIME */

static inline bool is_held(int result)
{
	return result == 0 || result == EOWNERDEAD;
}

static inline __attribute__((always_inline)) int enter(const struct kind *kind, void *lock,
							clockid_t clock,
							const struct timespec *until,
							const void *site)
{
	if (!cut_is_on || unlikely(clock > CLOCK_MONOTONIC)) /* no clock of locks: refused */
		return kind->wait(lock, clock, until);
	revive(lock, kind->revive);
	cut_lock_begin();
	int result = kind->try(lock);
	while (unlikely(result == kind->busy)) {
		cut_lock_wait(lock);
		result = kind->wait(lock, clock, until);
		if (cut_lock_woken())
			break;
		/* Given back by who has not mended it, it could never be locked again. */
		const bool is_retried = result == 0;
		if (is_retried)
			kind->give(lock);
		cut_lock_again();
		if (!is_retried)
			break;
		result = kind->try(lock);
	}
	if (likely(is_held(result)))
		cut_lock_held(lock, site);
	else
		cut_lock_failed();
	return result;
}

static inline __attribute__((always_inline)) int try_enter(const struct kind *kind, void *lock,
							    const void *site)
{
	if (!cut_is_on)
		return kind->try(lock);
	revive(lock, kind->revive);
	cut_lock_begin();
	const int result = kind->try(lock);
	if (is_held(result))
		cut_lock_held(lock, site);
	else
		cut_lock_failed();
	return result;
}

static inline __attribute__((always_inline)) int leave(int (*give)(void *lock), void *lock)
{
	const int result = give(lock);

	if (!cut_is_on || result != 0)
		return result;
	cut_unlocked(lock);
	if (unlikely(tx_is_pending) && !cut_has_locks())
		tx_settle();
	return 0;
}

/* ---- Mutexes ---- */

static int mutex_try(void *lock)
{
	return REAL(pthread_mutex_trylock)(lock);
}

static int mutex_wait(void *lock, clockid_t clock, const struct timespec *until)
{
	if (clock == NO_CLOCK)
		return REAL(pthread_mutex_lock)(lock);
	if (clock == OLD_CLOCK)
		return REAL(pthread_mutex_timedlock)(lock, until);
	return REAL(pthread_mutex_clocklock)(lock, clock, until);
}

static int mutex_give(void *lock)
{
	return REAL(pthread_mutex_unlock)(lock);
}

static const struct kind mutex = {REVIVE_MUTEX, EBUSY, mutex_try, mutex_wait, mutex_give};

INTERPOSE int pthread_mutex_lock(pthread_mutex_t *lock)
{
	return enter(&mutex, lock, NO_CLOCK, NULL, SITE);
}

INTERPOSE int pthread_mutex_trylock(pthread_mutex_t *lock)
{
	return try_enter(&mutex, lock, SITE);
}

INTERPOSE int pthread_mutex_timedlock(pthread_mutex_t *lock, const struct timespec *until)
{
	return enter(&mutex, lock, OLD_CLOCK, until, SITE);
}

INTERPOSE int pthread_mutex_clocklock(pthread_mutex_t *lock, clockid_t clock,
				      const struct timespec *until)
{
	return enter(&mutex, lock, clock, until, SITE);
}

INTERPOSE int pthread_mutex_unlock(pthread_mutex_t *lock)
{
	return leave(mutex_give, lock);
}

/* ---- Read-write locks: a reader changes nothing, but may hold on to what it found ---- */

static int rwlock_try_read(void *lock)
{
	return REAL(pthread_rwlock_tryrdlock)(lock);
}

static int rwlock_try_write(void *lock)
{
	return REAL(pthread_rwlock_trywrlock)(lock);
}

static int rwlock_wait_read(void *lock, clockid_t clock, const struct timespec *until)
{
	if (clock == NO_CLOCK)
		return REAL(pthread_rwlock_rdlock)(lock);
	if (clock == OLD_CLOCK)
		return REAL(pthread_rwlock_timedrdlock)(lock, until);
	return REAL(pthread_rwlock_clockrdlock)(lock, clock, until);
}

static int rwlock_wait_write(void *lock, clockid_t clock, const struct timespec *until)
{
	if (clock == NO_CLOCK)
		return REAL(pthread_rwlock_wrlock)(lock);
	if (clock == OLD_CLOCK)
		return REAL(pthread_rwlock_timedwrlock)(lock, until);
	return REAL(pthread_rwlock_clockwrlock)(lock, clock, until);
}

static int rwlock_give(void *lock)
{
	return REAL(pthread_rwlock_unlock)(lock);
}

static const struct kind reading = {REVIVE_RWLOCK, EBUSY, rwlock_try_read, rwlock_wait_read,
				    rwlock_give};
static const struct kind writing = {REVIVE_RWLOCK, EBUSY, rwlock_try_write, rwlock_wait_write,
				    rwlock_give};

INTERPOSE int pthread_rwlock_rdlock(pthread_rwlock_t *lock)
{
	return enter(&reading, lock, NO_CLOCK, NULL, SITE);
}

INTERPOSE int pthread_rwlock_wrlock(pthread_rwlock_t *lock)
{
	return enter(&writing, lock, NO_CLOCK, NULL, SITE);
}

INTERPOSE int pthread_rwlock_tryrdlock(pthread_rwlock_t *lock)
{
	return try_enter(&reading, lock, SITE);
}

INTERPOSE int pthread_rwlock_trywrlock(pthread_rwlock_t *lock)
{
	return try_enter(&writing, lock, SITE);
}

INTERPOSE int pthread_rwlock_timedrdlock(pthread_rwlock_t *lock, const struct timespec *until)
{
	return enter(&reading, lock, OLD_CLOCK, until, SITE);
}

INTERPOSE int pthread_rwlock_timedwrlock(pthread_rwlock_t *lock, const struct timespec *until)
{
	return enter(&writing, lock, OLD_CLOCK, until, SITE);
}

INTERPOSE int pthread_rwlock_clockrdlock(pthread_rwlock_t *lock, clockid_t clock,
					 const struct timespec *until)
{
	return enter(&reading, lock, clock, until, SITE);
}

INTERPOSE int pthread_rwlock_clockwrlock(pthread_rwlock_t *lock, clockid_t clock,
					 const struct timespec *until)
{
	return enter(&writing, lock, clock, until, SITE);
}

INTERPOSE int pthread_rwlock_unlock(pthread_rwlock_t *lock)
{
	return leave(rwlock_give, lock);
}

/* ---- Spin locks ---- */

static int spin_try(void *lock)
{
	return REAL(pthread_spin_trylock)(lock);
}

static int spin_wait(void *lock, clockid_t clock, const struct timespec *until)
{
	return REAL(pthread_spin_lock)(lock);
}

static int spin_give(void *lock)
{
	return REAL(pthread_spin_unlock)(lock);
}

static const struct kind spin = {REVIVE_SPIN, EBUSY, spin_try, spin_wait, spin_give};

INTERPOSE int pthread_spin_lock(pthread_spinlock_t *lock)
{
	return enter(&spin, (void *)lock, NO_CLOCK, NULL, SITE);
}

INTERPOSE int pthread_spin_trylock(pthread_spinlock_t *lock)
{
	return try_enter(&spin, (void *)lock, SITE);
}

INTERPOSE int pthread_spin_unlock(pthread_spinlock_t *lock)
{
	return leave(spin_give, (void *)lock);
}

/* ---- C11 ---- */

static int mtx_try(void *lock)
{
	return REAL(mtx_trylock)(lock);
}

static int mtx_wait(void *lock, clockid_t clock, const struct timespec *until)
{
	return clock == NO_CLOCK ? REAL(mtx_lock)(lock) : REAL(mtx_timedlock)(lock, until);
}

static int mtx_give(void *lock)
{
	return REAL(mtx_unlock)(lock);
}

static const struct kind c11 = {REVIVE_MUTEX, thrd_busy, mtx_try, mtx_wait, mtx_give};

INTERPOSE int mtx_lock(mtx_t *lock)
{
	return enter(&c11, lock, NO_CLOCK, NULL, SITE);
}

INTERPOSE int mtx_trylock(mtx_t *lock)
{
	return try_enter(&c11, lock, SITE);
}

INTERPOSE int mtx_timedlock(mtx_t *lock, const struct timespec *until)
{
	return enter(&c11, lock, OLD_CLOCK, until, SITE);
}

INTERPOSE int mtx_unlock(mtx_t *lock)
{
	return leave(mtx_give, lock);
}
