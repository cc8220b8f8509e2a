/*
 * A thread's cache goes back to the heap when the thread ends.
 *
 * A pthread key does it without allocating: ours is made before any other, so its index is among
 * the first 32, whose slots lie in the thread's own block. Other keys' destructors, and those of
 * C++ thread_locals, may still malloc: the destructor asks to be called again until the last
 * round, and only then gives the cache back. What is allocated even later goes uncached.
 */
#include "preload.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>

#include "tx.h"

static pthread_key_t key;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static int key_error;

static void thread_leave(void *value)
{
	const uintptr_t round = (uintptr_t)value;
	tx_abandon_all(); /* it may have ended inside of a block */
	if (round < PTHREAD_DESTRUCTOR_ITERATIONS)
		pthread_setspecific(key, (void *)(round + 1));
	else
		heap_thread_exit();
}

static void make_key(void)
{
	key_error = -pthread_key_create(&key, thread_leave);
}

int thread_init(void)
{
	pthread_once(&key_once, make_key);
	return key_error;
}

/* The heap has given this thread a cache, or it has begun its first block; without a pool nobody
 * has made the key before that. */
void thread_enter(void *context)
{
	const int errno_before = errno;
	if (thread_init() == 0)
		pthread_setspecific(key, (void *)(uintptr_t)1);
	errno = errno_before;
}
