/* Carry: what the log has of pages is logged anew, so that it can be trimmed although home must not
 * be touched. Room-private. */
#pragma once

#include "merge.h"
#include "harvest.h"

struct checkpoint;

enum carry_phase { CARRY_IDLE, CARRY_COLLECT, CARRY_WRITE, CARRY_WAIT };

/* Invariant: in WAIT every page with an entry up to the harvest's target has a whole one behind
 * that, in an epoch up to `epoch`, which is durable or under way. */
struct carry {
	enum carry_phase phase;
	struct harvest harvest;   /* pages with entries up to its target, not yet logged anew */
	uint64_t epoch;           /* WAIT: the last one with an entry of ours */
	uint64_t bytes;           /* of the records with our entries, so far */
	uint64_t whole_bytes;     /* of all of them, the last time */
	uint64_t retry_epochs;    /* after a failure: not before so many have been committed */
	uint64_t pages_seen;      /* the program's, when an epoch was begun with our entries */
};

/* carry_begin() - if the log has grown enough for it */
bool carry_begin(struct checkpoint *checkpoint);
/* carry_step() - a piece of it, a record at most. 0: there is nothing to do before the next epoch;
 * CHECKPOINT_MORE; an error: idle again, nothing is lost */
int carry_step(struct checkpoint *checkpoint, struct merge_limit limit);
/* carry_trim() - in WAIT: the log is free up to the target. -errno: try again */
int carry_trim(struct checkpoint *checkpoint);
void carry_abandon(struct carry *carry);
/* carry_rollback() - the epoch under way has failed; `durable` is the newest that has not */
void carry_rollback(struct carry *carry, uint64_t durable);

/* carry_is_pressed() - commits leave too little time for it */
bool carry_is_pressed(const struct checkpoint *checkpoint);
