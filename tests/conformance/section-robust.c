/*
 * POSIX, pthread_mutex_lock: who gets a robust mutex after its owner died is told EOWNERDEAD, also
 * if he waited, and can make it consistent. An epoch meanwhile must not give it back for him.
 * with: HEAPSAKE_KEEP=heap
 * with: HEAPSAKE_INTERVAL=1ms
 * with: HEAPSAKE_LOG=error
 * only: shared inert
 */
#include "must.h"

static pthread_mutex_t mutex;

static void *die_with_it(void *p)
{
	MUST(pthread_mutex_lock(&mutex) == 0);
	*(int *)p = 1;
	usleep(3000);
	return NULL;
}

int main(void)
{
	pthread_mutexattr_t robust;

	pthread_mutexattr_init(&robust);
	pthread_mutexattr_setrobust(&robust, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&mutex, &robust);
	for (int i = 0; i < 50; i++) {
		volatile int is_held = 0;
		pthread_t thread;
		MUST(pthread_create(&thread, NULL, die_with_it, (void *)&is_held) == 0);
		while (!is_held)
			usleep(100);
		MUST(pthread_mutex_lock(&mutex) == EOWNERDEAD);
		MUST(pthread_mutex_consistent(&mutex) == 0 && pthread_mutex_unlock(&mutex) == 0);
		pthread_join(thread, NULL);
	}
	MUST(pthread_mutex_lock(&mutex) == 0 && pthread_mutex_unlock(&mutex) == 0);
}
