/*
 * README, DESIGN 4.8: mutexes, rwlocks, spin locks and conditions of kept memory can be used after a
 * restart, though the epoch has them locked by threads, or with waiters, that are no more; and
 * though a constructor has used one, before it was what the epoch has of it.
 *
 * with: HEAPSAKE_INTERVAL=0
 * run: first => signal SIGKILL
 * run: second
 * inert: first
 */
#include <errno.h>
#include <pthread.h>
#include <threads.h>
#include <unistd.h>

#include "step.h"

struct locks {
	pthread_mutex_t held, waited, recursive;
	pthread_rwlock_t reading, writing;
	pthread_spinlock_t spin;
	mtx_t c11;
	pthread_cond_t cond;
	int turn;
};
HSK_KEEP static pthread_mutex_t of_global = PTHREAD_MUTEX_INITIALIZER;
static struct locks *locks;

static __attribute__((constructor)) void use_early(void)
{
	pthread_mutex_lock(&of_global);
	pthread_mutex_unlock(&of_global);
}

static void *wait_for_ever(void *unused)
{
	pthread_mutex_lock(&locks->waited);
	for (;;)
		pthread_cond_wait(&locks->cond, &locks->waited);
	return unused;
}

/* The waiter in the epoch must not take what is meant for this one. */
static void *wait_for_turn(void *unused)
{
	pthread_mutex_lock(&locks->waited);
	while (!locks->turn)
		pthread_cond_wait(&locks->cond, &locks->waited);
	locks->turn = 2;
	pthread_cond_signal(&locks->cond);
	pthread_mutex_unlock(&locks->waited);
	return unused;
}

static void make(void)
{
	pthread_mutexattr_t recursive;

	locks = calloc(1, sizeof(*locks));
	pthread_mutexattr_init(&recursive);
	pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&locks->recursive, &recursive);
	pthread_spin_init(&locks->spin, PTHREAD_PROCESS_PRIVATE);
	mtx_init(&locks->c11, mtx_plain);
	hsk_set_root("locks", locks);
}

static void first(void)
{
	pthread_t waiter;

	make();
	MUST(pthread_create(&waiter, NULL, wait_for_ever, NULL) == 0);
	usleep(50000);
	pthread_mutex_lock(&locks->held);
	pthread_mutex_lock(&locks->recursive);
	pthread_mutex_lock(&locks->recursive);
	pthread_mutex_lock(&of_global);
	pthread_rwlock_rdlock(&locks->reading);
	pthread_rwlock_wrlock(&locks->writing);
	pthread_spin_lock(&locks->spin);
	mtx_lock(&locks->c11);
	if (hsk_checkpoint(-1) == 0)
		step_kill();
}

static void second(void)
{
	pthread_t waiter;

	locks = hsk_root("locks");
	MUST(locks != NULL);
	MUST(pthread_mutex_trylock(&locks->held) == 0);
	MUST(pthread_mutex_trylock(&of_global) == 0);
	MUST(pthread_mutex_lock(&locks->recursive) == 0 && pthread_mutex_lock(&locks->recursive) == 0);
	MUST(pthread_rwlock_trywrlock(&locks->reading) == 0);
	MUST(pthread_rwlock_tryrdlock(&locks->writing) == 0);
	MUST(pthread_spin_trylock(&locks->spin) == 0);
	MUST(mtx_trylock(&locks->c11) == thrd_success);

	MUST(pthread_create(&waiter, NULL, wait_for_turn, NULL) == 0);
	usleep(50000);
	MUST(pthread_mutex_lock(&locks->waited) == 0);
	locks->turn = 1;
	pthread_cond_signal(&locks->cond);
	while (locks->turn != 2)
		pthread_cond_wait(&locks->cond, &locks->waited);
	pthread_mutex_unlock(&locks->waited);
	/* Held by this run, they are not set free again. */
	MUST(pthread_mutex_trylock(&locks->held) == EBUSY);
	pthread_join(waiter, NULL);
	_exit(0); /* exit() would tell that locks are held */
}

int main(int argc, char **argv)
{
	step_begin(argc, argv);
	if (step_is("first"))
		first();
	else
		second();
	return 0;
}
