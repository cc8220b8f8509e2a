/*
 * Waits for a condition: the thread leaves its section if it holds no other lock, and is parked. It
 * comes back holding the mutex, and meets the gate with it: it has changed nothing yet.
 *
 * Cancelled, it runs its cleanup handlers in the section, the mutex being held (park.h).
 */
#include <dlfcn.h>
#include <pthread.h>
#include <threads.h>

#include "park.h"
#include "revive.h"

/* The unversioned lookup may find the condition variables of before 2.3.2. */
#define REAL_COND(name)                                                                            \
	({                                                                                         \
		static __typeof__(&(name)) real;                                                   \
		if (unlikely(!real))                                                               \
			real = (__typeof__(&(name)))dlvsym(RTLD_NEXT, #name, "GLIBC_2.3.2");       \
		real;                                                                              \
	})

static void woken(void *waiting)
{
	if (!tx_is_jumping)
		tx_note_thread_end();
	cut_cond_woken(waiting);
}

#define OUTSIDE_SECTION(cond, lock, call)                                                          \
	({                                                                                         \
		struct _pthread_cleanup_buffer cleanup;                                            \
		struct cut_waiting waiting;                                                        \
		const bool is_told = cut_is_on;                                                    \
		const bool is_noted = is_told || tx_is_open();                                     \
		if (is_noted) {                                                                    \
			tx_is_jumping = false;                                                     \
			waiting.hold.lock = NULL;                                                  \
			_pthread_cleanup_push(&cleanup, woken, &waiting);                          \
		}                                                                                  \
		if (is_told) {                                                                     \
			revive(cond, REVIVE_COND);                                                 \
			cut_cond_wait(lock, &waiting);                                             \
		}                                                                                  \
		const int result = call;                                                           \
		if (is_noted) {                                                                    \
			_pthread_cleanup_pop(&cleanup, 0);                                         \
			cut_cond_woken(&waiting);                                                  \
		}                                                                                  \
		result;                                                                            \
	})

INTERPOSE int pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock)
{
	return OUTSIDE_SECTION(cond, lock, REAL_COND(pthread_cond_wait)(cond, lock));
}

INTERPOSE int pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *lock,
				     const struct timespec *until)
{
	return OUTSIDE_SECTION(cond, lock, REAL_COND(pthread_cond_timedwait)(cond, lock, until));
}

INTERPOSE int pthread_cond_clockwait(pthread_cond_t *cond, pthread_mutex_t *lock, clockid_t clock,
				     const struct timespec *until)
{
	return OUTSIDE_SECTION(cond, lock,
			       REAL(pthread_cond_clockwait)(cond, lock, clock, until));
}

INTERPOSE int cnd_wait(cnd_t *cond, mtx_t *lock)
{
	return OUTSIDE_SECTION(cond, lock, REAL(cnd_wait)(cond, lock));
}

INTERPOSE int cnd_timedwait(cnd_t *cond, mtx_t *lock, const struct timespec *until)
{
	return OUTSIDE_SECTION(cond, lock, REAL(cnd_timedwait)(cond, lock, until));
}

/* Waking wakes nobody of an earlier run. */
INTERPOSE int pthread_cond_signal(pthread_cond_t *cond)
{
	revive(cond, REVIVE_COND);
	return REAL_COND(pthread_cond_signal)(cond);
}

INTERPOSE int pthread_cond_broadcast(pthread_cond_t *cond)
{
	revive(cond, REVIVE_COND);
	return REAL_COND(pthread_cond_broadcast)(cond);
}

INTERPOSE int cnd_signal(cnd_t *cond)
{
	revive(cond, REVIVE_COND);
	return REAL(cnd_signal)(cond);
}

INTERPOSE int cnd_broadcast(cnd_t *cond)
{
	revive(cond, REVIVE_COND);
	return REAL(cnd_broadcast)(cond);
}
