/*
 * The engine's own state: what checkpoint.h hides from everybody else. Room-private.
 */
#pragma once

#include "batch.h"
#include "bulk.h"
#include "checkpoint.h"
#include "home.h"
#include "merge.h"

struct checkpoint {
	struct checkpoint_plan plan;
	struct roster roster;
	struct anchor anchor;
	struct log log;
	struct home home;
	struct index live;     /* pages with entries behind the trim, at the newest epoch */
	struct batch staged;   /* of the records of the epoch being committed */
	struct index selected; /* live at an older epoch, for reading */
	struct bulk bulk;
	uint64_t fresh_count;  /* fresh pages that this epoch has logged */
	struct index drafted;  /* pages staged before the cut, and what they were then */
	bool is_begun;         /* something is staged already for the next epoch */
	bool is_drafting;
	int draft_error;       /* why it must fail */
	struct merge merge;
	enum checkpoint_hold hold;
	uint64_t epoch;        /* newest durable */
	uint64_t attempt;      /* newest number given */
	uint64_t selected_epoch;
	bool is_writer;
	char *buffer;          /* the record being staged */
	uint64_t buffer_bytes;
	struct checkpoint_info info;
};

/* What the log says of pages at the selected epoch. */
static inline const struct index *selected_entries(const struct checkpoint *checkpoint)
{
	return checkpoint->selected_epoch == checkpoint->epoch ? &checkpoint->live
							       : &checkpoint->selected;
}
