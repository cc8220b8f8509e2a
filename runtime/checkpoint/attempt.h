/* One attempt at an epoch, and what the committer's files share. Room-private. */
#pragma once

#include <stdatomic.h>

#include "committer.h"
#include "lock.h"
#include "report.h"

struct committer {
	struct committer_plan plan;
	struct report report;
	struct lock lock; /* regions, tracker, engine: held but while sleeping */
	_Atomic bool is_open;
	_Atomic bool is_started;
	_Atomic bool is_over; /* no epoch any more */
	_Atomic uint64_t epoch;
	uint64_t began_ns;
	uint64_t last_cut_ns;
	uint64_t pause_ns[2]; /* the last two */
	unsigned skips; /* in a row */
	unsigned in_vain;   /* attempts without an image, in a row, */
	uint64_t again_ns;  /* and when the next one may be, should somebody wait for it */
	uint32_t lends; /* of the pool, before it was asked for views */
	uint64_t patrol_due_ns;
	uint32_t alive; /* the thread: os_thread_start() */
};
extern struct committer committer;

/* attempt_make() - under the lock: an epoch is taken and made durable, or will be tried again */
void attempt_make(void);
bool attempt_is_asked(void);   /* does anybody wait for one? */
void attempt_hold_again(void); /* pages have been told: is home shown to children by now? */
