/* What the two sides of the gate share. Room-private. */
#pragma once

#include "cut.h"

#define CUT_THREADS_MAX 8192

/* How much is asked of threads when the gates are closed: where they are held. */
enum cut_gate {
	CUT_OPEN,
	CUT_AT_TX_ENDS,   /* and coming back from a park; annotated ones also at lock ends */
	CUT_AT_LOCK_ENDS, /* as well */
	CUT_ANYWHERE,     /* outside sections, by the signal */
};

struct cut_shared {
	struct cut_thread *threads; /* CUT_THREADS_MAX, in memory that is not there until used */
	uint32_t thread_top;        /* records ever used */
	uint32_t gate;              /* enum cut_gate; a futex; stored to by the committer alone */
	unsigned lifelong;
	bool (*is_busy)(uintptr_t pc);
};
extern struct cut_shared cut_shared;

#define CUT_MAGIC ((void *)(uintptr_t)0x6865617073616b65) /* "heapsake", in the stop signal */
