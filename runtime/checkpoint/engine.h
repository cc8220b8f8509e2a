/*
 * The engine's own state: what checkpoint.h hides from everybody else. Room-private.
 */
#pragma once

#include "bulk.h"
#include "carry.h"
#include "checkpoint.h"
#include "damage.h"
#include "home.h"
#include "merge.h"
#include "patrol.h"

struct checkpoint {
	struct checkpoint_plan plan;
	struct roster roster;
	struct anchor anchor;
	struct log log;
	struct home home;
	struct annals annals;
	struct bulk bulk;
	uint64_t fresh_count;  /* fresh pages that this epoch has logged */
	bool is_begun;         /* something is staged already for the next epoch */
	int draft_error;       /* why it must fail */
	struct merge merge;
	struct carry carry;
	struct patrol patrol;
	struct damage damage;
	unsigned hold;         /* enum checkpoint_hold */
	uint64_t epoch;        /* newest durable */
	uint64_t attempt;      /* newest number given */
	uint64_t selected_epoch; /* for reading */
	uint64_t selected_seq;   /* of its last record */
	bool is_writer;
	char *buffer;          /* the record being staged */
	uint64_t buffer_bytes;
	struct checkpoint_info info;
};

/* epoch_begin() - an epoch is under way: what is staged from here on is of it */
void epoch_begin(struct checkpoint *checkpoint);

/* The place an epoch ends at; home's own is the trim. */
static inline struct layout_trim end_of_epoch(const struct checkpoint *checkpoint, uint64_t number)
{
	const struct log_epoch *epoch = log_find_epoch(&checkpoint->log, number);

	return epoch ? epoch->end : checkpoint->anchor.sb.trim;
}

static inline void select_epoch(struct checkpoint *checkpoint, uint64_t number)
{
	checkpoint->selected_epoch = number;
	checkpoint->selected_seq = end_of_epoch(checkpoint, number).seq;
}
