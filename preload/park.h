/*
 * PARKED(call), EVENT(does_wait, call) - make a call that may block, and be parked in it. EVENT for
 * waits for something to happen, which end the section of locks held across; but not if it only
 * looks.
 *
 * A thread that is cancelled in it must not stay parked while its cleanup handlers run, and aborts
 * the block it is in. libc's old way of registering one costs a few stores and needs no unwinder,
 * which would be a library more than libc.
 */
#pragma once

#include <pthread.h>

#include "checkpoint/cut.h"
#include "real.h"
#include "tx.h"

void _pthread_cleanup_push(struct _pthread_cleanup_buffer *buffer, void (*fn)(void *),
			   void *argument);
void _pthread_cleanup_pop(struct _pthread_cleanup_buffer *buffer, int execute);

/* A longjmp() out of it calls this as well. */
static inline void park_cancelled(void *argument)
{
	if (!tx_is_jumping)
		tx_note_thread_end();
	cut_unpark();
}

#define PARKED_BY(park, call)                                                                      \
	({                                                                                         \
		struct _pthread_cleanup_buffer cleanup;                                            \
		const bool is_parked = unlikely(cut_is_on || tx_is_open());                        \
		if (is_parked) {                                                                   \
			tx_is_jumping = false;                                                     \
			_pthread_cleanup_push(&cleanup, park_cancelled, NULL);                     \
			(park)();                                                                  \
		}                                                                                  \
		const __typeof__(call) call_result = call;                                         \
		if (is_parked) {                                                                   \
			cut_unpark();                                                              \
			_pthread_cleanup_pop(&cleanup, 0);                                         \
		}                                                                                  \
		call_result;                                                                       \
	})
#define PARKED(call) PARKED_BY(cut_park, call)
#define EVENT(does_wait, call) PARKED_BY((does_wait) ? cut_park_event : cut_park, call)
