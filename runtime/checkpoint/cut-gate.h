/* What the two sides of the gate share. Room-private. */
#pragma once

#include "cut.h"

#define CUT_THREADS_MAX 8192

/* How much is asked of threads when the gates are closed: where they are held. */
enum cut_gate {
	CUT_OPEN,
	CUT_AT_TX_ENDS,   /* and coming back from a park; annotated ones anywhere outside */
	CUT_AT_LOCK_ENDS, /* as well */
	CUT_ANYWHERE,     /* outside sections, by the signal */
};

struct cut_shared {
	struct cut_thread *threads; /* CUT_THREADS_MAX, in memory that is not there until used */
	uint32_t thread_top;        /* records ever used */
	uint32_t gate;              /* enum cut_gate; a futex; stored to by the committer alone */
	uint32_t lifelong;          /* locks that came to be held for life */
	uint32_t is_overfull;       /* there were more threads than records: no cut any more */
	int send_error, list_error; /* since the gates closed: why one could not be stopped, or found */
	int pid;
	const char *here;           /* not 0; wiped in a child that has a copy of our memory */
	bool (*is_busy)(uintptr_t pc);
	void (*arm)(void);
};
extern struct cut_shared cut_shared;

/* Read after state: what a thread says before it parks is seen by whoever sees it parked. */
static inline bool cut_is_outside(const struct cut_thread *thread)
{
	return __atomic_load_n(&thread->tx_depth, __ATOMIC_RELAXED) == 0 &&
	       __atomic_load_n(&thread->newest, __ATOMIC_RELAXED) <=
		       __atomic_load_n(&thread->lifelong, __ATOMIC_RELAXED);
}

static inline void cut_state_set(struct cut_thread *self, enum cut_state state)
{
	/* What it stored before is seen by whoever sees it parked. */
	__atomic_store_n(&self->state, state, __ATOMIC_RELEASE);
}

/* ---- The committer's side ---- */

static inline uint32_t cut_thread_top(void)
{
	return __atomic_load_n(&cut_shared.thread_top, __ATOMIC_ACQUIRE);
}

/* NULL: nobody's */
static inline struct cut_thread *cut_thread_at(uint32_t i)
{
	struct cut_thread *thread = &cut_shared.threads[i];

	return __atomic_load_n(&thread->tid, __ATOMIC_ACQUIRE) ? thread : NULL;
}

static inline bool cut_is_running(const struct cut_thread *thread)
{
	return __atomic_load_n(&thread->state, __ATOMIC_ACQUIRE) == CUT_RUNNING;
}

static inline bool cut_is_taken(const struct cut_thread *thread)
{
	return !cut_is_running(thread) && (thread->waits_for_cut || cut_is_outside(thread));
}

/* cut_name_culprit() - for whom was it given up? (cut-name.c) */
void cut_name_culprit(struct line *line);

#define CUT_MAGIC ((void *)(uintptr_t)0x6865617073616b65) /* "heapsake", in the stop signal */
