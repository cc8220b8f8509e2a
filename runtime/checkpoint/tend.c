/*
 * Housekeeping.
 */
#include "engine.h"

#include "check.h"
#include "merge.h"

/* Home never passes the oldest retained epoch. */
static const struct log_epoch *merge_target(const struct checkpoint *checkpoint)
{
	const struct log *log = &checkpoint->log;

	return log->epoch_count < CHECKPOINT_RETAINED
		       ? NULL : &log->epochs[log->epoch_count - CHECKPOINT_RETAINED];
}

int checkpoint_merge(struct checkpoint *checkpoint)
{
	const struct log_epoch *target = merge_target(checkpoint);

	CHECK(checkpoint->is_writer);
	if (!target || checkpoint->hold != CHECKPOINT_FREE)
		return 0;
	struct log_epoch copy = *target; /* the trim moves the table */
	int error = log_adopt(&checkpoint->log);
	if (!error)
		error = merge_run(&checkpoint->home, &checkpoint->log, &copy);
	if (!error)
		index_forget(&checkpoint->live, checkpoint->anchor.sb.trim.seq);
	return error;
}

void checkpoint_hold(struct checkpoint *checkpoint, enum checkpoint_hold hold)
{
	checkpoint->hold = hold;
}

int checkpoint_tend(struct checkpoint *checkpoint)
{
	if (log_live_bytes(&checkpoint->log) * 2 < checkpoint->plan.log_bytes)
		return 0;
	return checkpoint_merge(checkpoint);
}
