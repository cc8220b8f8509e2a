/*
 * POSIX, pthread_cancel: a thread is cancelled where it waits, runs its handlers, holds its mutex
 * again if it waited for a condition, and ends; epochs are taken before and after.
 * with: HEAPSAKE_KEEP=heap
 * with: HEAPSAKE_INTERVAL=1ms
 * with: HEAPSAKE_LOG=error
 * only: shared inert
 */
#include "must.h"

#include <poll.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t never = PTHREAD_COND_INITIALIZER;
static int ends[2];
static int cleaned;

static void clean(void *mutex_held)
{
	free(malloc(1000));
	if (mutex_held)
		MUST(pthread_mutex_unlock(mutex_held) == 0);
	__atomic_fetch_add(&cleaned, 1, __ATOMIC_RELAXED);
}

static void *wait_for_condition(void *unused)
{
	pthread_mutex_lock(&mutex);
	pthread_cleanup_push(clean, &mutex);
	for (;;)
		pthread_cond_wait(&never, &mutex);
	pthread_cleanup_pop(0);
}

static void *wait_for_bytes(void *unused)
{
	char byte;

	pthread_cleanup_push(clean, NULL);
	MUST(read(ends[0], &byte, 1) == 1);
	pthread_cleanup_pop(0);
	return NULL;
}

static void *wait_for_events(void *unused)
{
	pthread_cleanup_push(clean, NULL);
	poll(NULL, 0, -1);
	pthread_cleanup_pop(0);
	return NULL;
}

int main(void)
{
	void *(*const waits[])(void *) = {wait_for_condition, wait_for_bytes, wait_for_events};

	MUST(pipe(ends) == 0);
	for (int i = 0; i < 90; i++) {
		pthread_t thread;
		void *result;
		MUST(pthread_create(&thread, NULL, waits[i % 3], NULL) == 0);
		usleep(i % 9 * 500);
		MUST(pthread_cancel(thread) == 0 && pthread_join(thread, &result) == 0);
		MUST(result == PTHREAD_CANCELED);
		MUST(pthread_mutex_trylock(&mutex) == 0 && pthread_mutex_unlock(&mutex) == 0);
	}
	MUST(cleaned != 0);
}
