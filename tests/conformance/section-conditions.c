/*
 * POSIX, pthread_cond_wait; C11, cnd_wait: nobody sleeps through a signal, the mutex is held on
 * return, times out are told; with epochs all the while, and other locks held or not.
 * with: HEAPSAKE_KEEP=heap
 * with: HEAPSAKE_INTERVAL=1ms
 * with: HEAPSAKE_LOG=error
 * only: shared inert
 */
#include "must.h"

#include <threads.h>
#include <time.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER, other = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static mtx_t c11_mutex;
static cnd_t c11_changed;
static int turn, c11_turn;

static void *play(void *argument)
{
	const int mine = argument != NULL;

	for (int i = 0; i < 2000; i++) {
		if (mine)
			pthread_mutex_lock(&other);
		pthread_mutex_lock(&mutex);
		while (turn != mine)
			MUST(pthread_cond_wait(&changed, &mutex) == 0);
		turn = !mine;
		MUST(pthread_mutex_trylock(&mutex) == EBUSY);
		pthread_cond_signal(&changed);
		pthread_mutex_unlock(&mutex);
		if (mine)
			pthread_mutex_unlock(&other);
		mtx_lock(&c11_mutex);
		while (c11_turn != mine)
			MUST(cnd_wait(&c11_changed, &c11_mutex) == thrd_success);
		c11_turn = !mine;
		cnd_signal(&c11_changed);
		mtx_unlock(&c11_mutex);
	}
	return NULL;
}

int main(void)
{
	struct timespec until;
	pthread_t thread;

	mtx_init(&c11_mutex, mtx_plain);
	cnd_init(&c11_changed);
	MUST(pthread_create(&thread, NULL, play, &turn) == 0);
	play(NULL);
	pthread_join(thread, NULL);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += 1;
	pthread_mutex_lock(&mutex);
	MUST(pthread_cond_clockwait(&changed, &mutex, CLOCK_MONOTONIC, &until) == ETIMEDOUT);
	MUST(pthread_cond_timedwait(&changed, &mutex, &(struct timespec){1, 0}) == ETIMEDOUT);
	MUST(pthread_mutex_trylock(&mutex) == EBUSY && pthread_mutex_unlock(&mutex) == 0);
}
