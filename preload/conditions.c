/*
 * Waits for a condition: the thread leaves its section if it holds no other lock, and is parked. It
 * comes back holding the mutex, and meets the gate with it: it has changed nothing yet.
 *
 * Cancelled, it runs its cleanup handlers in the section, the mutex being held: `left` undoes the
 * parking on whatever way the wait ends.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <threads.h>

#include "checkpoint/cut.h"
#include "real.h"

/* The unversioned lookup may find the condition variables of before 2.3.2. */
#define REAL_COND(name)                                                                            \
	({                                                                                         \
		static __typeof__(&(name)) real;                                                   \
		if (unlikely(!real))                                                               \
			real = (__typeof__(&(name)))dlvsym(RTLD_NEXT, #name, "GLIBC_2.3.2");       \
		real;                                                                              \
	})

static void come_back(const bool *was_left)
{
	cut_cond_woken(*was_left);
}
#define LEAVE_SECTION(lock)                                                                        \
	const bool left __attribute__((cleanup(come_back))) = cut_is_on && cut_cond_wait(lock);    \
	(void)left

INTERPOSE int pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock)
{
	LEAVE_SECTION(lock);
	return REAL_COND(pthread_cond_wait)(cond, lock);
}

INTERPOSE int pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *lock,
				     const struct timespec *until)
{
	LEAVE_SECTION(lock);
	return REAL_COND(pthread_cond_timedwait)(cond, lock, until);
}

INTERPOSE int pthread_cond_clockwait(pthread_cond_t *cond, pthread_mutex_t *lock, clockid_t clock,
				     const struct timespec *until)
{
	LEAVE_SECTION(lock);
	return REAL(pthread_cond_clockwait)(cond, lock, clock, until);
}

INTERPOSE int cnd_wait(cnd_t *cond, mtx_t *lock)
{
	LEAVE_SECTION(lock);
	return REAL(cnd_wait)(cond, lock);
}

INTERPOSE int cnd_timedwait(cnd_t *cond, mtx_t *lock, const struct timespec *until)
{
	LEAVE_SECTION(lock);
	return REAL(cnd_timedwait)(cond, lock, until);
}
