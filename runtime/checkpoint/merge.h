/* Merge: from the log to home, in steps. Room-private. */
#pragma once

#include "home.h"
#include "queue.h"

enum merge_phase { MERGE_IDLE, MERGE_COLLECT, MERGE_WRITE };

struct merge {
	enum merge_phase phase;
	struct log_epoch target;
	struct log_cursor cursor; /* COLLECT: how far the log has been read */
	struct queue queue;       /* entries of all epochs up to the target, not yet written */
	uint64_t done_key;        /* the last page written: what is queued of it is older */
	uint64_t failures;        /* the medium's at the start */
	uint64_t pages;           /* written */
};

/* How far a step goes: the first of the two that is reached. */
struct merge_limit {
	uint64_t pages;    /* written, or records read */
	uint64_t until_ns; /* CLOCK_MONOTONIC */
};
#define MERGE_NO_LIMIT ((struct merge_limit){UINT64_MAX, UINT64_MAX})

/* merge_begin() - bring home to the end of `target`, which must stay in the log until then */
void merge_begin(struct merge *merge, const struct home *home, const struct log_epoch *target);

/* merge_step() - a piece of it. 0: idle again if all is done, durable, and the log trimmed in both
 * superblocks; else more is left. Otherwise idle: home may hold any part of it, the trim is where
 * it was, and the next merge does everything again. */
int merge_step(struct merge *merge, struct home *home, struct log *log, struct merge_limit limit);

void merge_abandon(struct merge *merge);
