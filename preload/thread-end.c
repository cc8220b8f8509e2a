/*
 * A thread that ends inside of a block aborts it. In C its stack is just left, and tx_abandon_all()
 * finds the block open. But where the stack is unwound (C++, -fexceptions) the block comes to its
 * end, as if all of it had been done: so whoever is about to end says so before. A cancellation
 * begins in a call that may block (park.h, conditions.c), or here.
 *
 * Not seen: one that comes asynchronously, or in a call that we do not stand in for (open, stdio).
 */
#include <pthread.h>
#include <threads.h>

#include "park.h"

INTERPOSE _Noreturn void pthread_exit(void *result)
{
	tx_note_thread_end();
	REAL(pthread_exit)(result);
	__builtin_unreachable();
}

INTERPOSE _Noreturn void thrd_exit(int result)
{
	tx_note_thread_end();
	REAL(thrd_exit)(result);
	__builtin_unreachable();
}

static void cancelled(void *unused)
{
	tx_note_thread_end();
}

INTERPOSE void pthread_testcancel(void)
{
	struct _pthread_cleanup_buffer cleanup;

	_pthread_cleanup_push(&cleanup, cancelled, NULL);
	REAL(pthread_testcancel)();
	_pthread_cleanup_pop(&cleanup, 0);
}
