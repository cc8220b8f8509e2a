/* Merge: from the log to home, in steps. Room-private. */
#pragma once

#include "home.h"
#include "harvest.h"

#define MERGE_RUN_PAGES 64u

enum merge_phase { MERGE_IDLE, MERGE_COLLECT, MERGE_WRITE };

/* Pages side by side, of one fate: as they are here, zeros, or in home already. */
struct merge_run {
	enum merge_fate { MERGE_PUT, MERGE_ZERO, MERGE_THERE } fate;
	unsigned count;
	uint64_t key; /* of the first */
	uint64_t sums[MERGE_RUN_PAGES];
	char (*pages)[LAYOUT_BLOCK_BYTES];
};

struct merge {
	enum merge_phase phase;
	struct harvest harvest;     /* pages with entries up to its target, not yet written */
	struct merge_run run;
	uint64_t failures;      /* the medium's at the start */
	uint64_t pages;         /* written */
};

/* How far a step goes: the first of the two that is reached. */
struct merge_limit {
	uint64_t pages;    /* written, or looked at by the thousand */
	uint64_t until_ns; /* CLOCK_MONOTONIC */
};
#define MERGE_NO_LIMIT ((struct merge_limit){UINT64_MAX, UINT64_MAX})
/* merge_is_late() - after that many pages; looks at the clock now and then */
bool merge_is_late(struct merge_limit limit, uint64_t done);

/* merge_begin() - bring home to the end of `target`, which must stay in the log until then */
void merge_begin(struct merge *merge, const struct home *home, const struct log_epoch *target);

/* merge_step() - a piece of it. 0: idle again if all is done, durable, and the log trimmed in both
 * superblocks; else more is left. Otherwise idle: home may hold any part of it, the trim is where
 * it was, and the next merge does everything again. -EAGAIN: for another's sake */
int merge_step(struct merge *merge, struct home *home, struct log *log, struct merge_limit limit);

void merge_abandon(struct merge *merge);
