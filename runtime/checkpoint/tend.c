/*
 * The problem: the log must be emptied into home, or, while home is held, carried forward, and its
 * next segment filled with zeros, by the same thread that makes epochs, and each of these may take
 * long. The trick: small steps, whenever nobody waits. The guarantee: a commit finds space that is
 * ready, unless commits outrun the disk; and what is held is left where it is.
 */
#include "engine.h"

#include <errno.h>

#include "check.h"
#include "os.h"
#include "segment.h"

#define STEP_NS UINT64_C(5000000)
#define CALM_EPOCHS 16u

/* Home, and the trim, never pass the oldest retained epoch; nor, for a run's first seconds, the one
 * before the epoch it began with. What is older is merged even then: or else a program that dies
 * every few seconds has a log that only grows. */
static const struct log_epoch *merge_target(const struct checkpoint *checkpoint)
{
	const struct log *log = &checkpoint->log;
	const uint64_t attached = checkpoint->anchor.sb.attached;
	size_t count = log->epoch_count < CHECKPOINT_RETAINED
			       ? 0 : log->epoch_count - CHECKPOINT_RETAINED + 1;

	if (checkpoint->hold & CHECKPOINT_RETAIN && attached)
		while (count && log->epochs[count].epoch >= attached)
			count--;
	return count ? &log->epochs[count - 1] : NULL;
}

void checkpoint_hold(struct checkpoint *checkpoint, unsigned hold)
{
	checkpoint->hold = hold;
}

static bool is_still(const struct checkpoint *checkpoint)
{
	return checkpoint->hold & CHECKPOINT_STILL;
}

/* ---- Damage ---- */

/* A page that the log tells of is read by who merges or carries it, and by no patrol. Nothing more
 * goes home until it is right: so memory is to log it anew. Not if the newest epoch has it, and
 * only an older one does not: merges will soon be past that. */
static int note_damage(struct checkpoint *checkpoint, int error)
{
	char page[LAYOUT_BLOCK_BYTES] __attribute__((aligned(64)));
	uint64_t lines[LAYOUT_LINES];
	struct home *home = &checkpoint->home;
	const uint64_t key = home->fault_key, seq = checkpoint->selected_seq;
	const bool is_log_viewed = home->is_log_viewed;

	if ((error != HOME_E_DAMAGED && error != -EIO) || !key)
		return error;
	home->is_log_viewed = false; /* the newest of it was not read before */
	const int newest = home_image(home, key, seq, page, lines);
	if (newest == HOME_E_DAMAGED || newest == -EIO)
		damage_note(&checkpoint->damage, key, annals_find(&checkpoint->annals, key, seq),
			    newest == -EIO ? newest : 0, &home->fault);
	home->is_log_viewed = is_log_viewed;
	return newest == -EIO ? HOME_E_DAMAGED : error;
}

void checkpoint_mend(struct checkpoint *checkpoint, checkpoint_found *found)
{
	const struct damage *damage = &checkpoint->damage;

	for (unsigned i = 0; i < damage->count; i++)
		if (damage->pages[i].number != ANNALS_NONE && !damage->pages[i].is_past)
			found(region_id_of_key(damage->pages[i].key),
			      region_page_of_key(damage->pages[i].key));
}

/* ---- Merging ---- */

/* Is there something to merge? */
static bool merge_starts(struct checkpoint *checkpoint)
{
	const struct log_epoch *target = merge_target(checkpoint);

	if (!target)
		return false;
	merge_begin(&checkpoint->merge, &checkpoint->home, target);
	return true;
}

static int merge_goes_on(struct checkpoint *checkpoint, struct merge_limit limit)
{
	/* What the trim will call the chain's start must be on media. */
	int error = log_adopt(&checkpoint->log);

	/* Home is about to pass it. */
	if (!error && checkpoint->merge.harvest.target.epoch >= checkpoint->anchor.sb.attached)
		error = anchor_attach(&checkpoint->anchor, 0);
	checkpoint->home.fault_key = 0;
	if (!error)
		error = merge_step(&checkpoint->merge, &checkpoint->home, &checkpoint->log, limit);
	if (!error && checkpoint->merge.phase == MERGE_IDLE) {
		annals_trim(&checkpoint->annals, checkpoint->anchor.sb.trim.seq);
		carry_abandon(&checkpoint->carry);
	}
	return note_damage(checkpoint, error);
}

static bool is_merging(const struct checkpoint *checkpoint)
{
	return checkpoint->merge.phase != MERGE_IDLE;
}

/* ---- Carrying ---- */

/* All that can be had is at or behind what was carried? Then the rest may go. */
static int trim_carried(struct checkpoint *checkpoint)
{
	const struct log_epoch *oldest = merge_target(checkpoint);

	if (checkpoint->carry.phase != CARRY_WAIT || !oldest ||
	    oldest->epoch < checkpoint->carry.epoch)
		return 0;
	int error = log_adopt(&checkpoint->log); /* as in a merge */
	if (!error)
		error = carry_trim(checkpoint);
	if (error)
		return error;
	merge_abandon(&checkpoint->merge); /* what it was about to write is carried */
	checkpoint->info.tend_error = 0;
	return 0;
}

static int carry_goes_on(struct checkpoint *checkpoint, struct merge_limit limit)
{
	if (checkpoint->info.error ||
	    (checkpoint->carry.phase == CARRY_IDLE && !carry_begin(checkpoint)))
		return 0;
	checkpoint->home.fault_key = 0;
	return note_damage(checkpoint, carry_step(checkpoint, limit));
}

bool checkpoint_is_pressed(const struct checkpoint *checkpoint)
{
	return carry_is_pressed(checkpoint);
}

/* ---- When ---- */

int checkpoint_merge(struct checkpoint *checkpoint)
{
	int error = 0;

	CHECK(checkpoint->is_writer);
	if (is_still(checkpoint))
		return trim_carried(checkpoint);
	if (is_merging(checkpoint)) /* to an older target */
		error = merge_goes_on(checkpoint, MERGE_NO_LIMIT);
	if (!error && merge_starts(checkpoint))
		error = merge_goes_on(checkpoint, MERGE_NO_LIMIT);
	return error;
}

static bool wants_merge(const struct checkpoint *checkpoint)
{
	return log_live_bytes(&checkpoint->log) >= checkpoint->plan.log_bytes;
}

void checkpoint_finish(struct checkpoint *checkpoint)
{
	CHECK(checkpoint->is_writer);
	bulk_calm(&checkpoint->bulk, &checkpoint->anchor, checkpoint->info.epochs, 0);
}

static int tend(struct checkpoint *checkpoint)
{
	const struct merge_limit limit = {
		.pages = checkpoint->plan.step_pages,
		.until_ns = os_clock_ns(CLOCK_MONOTONIC) + STEP_NS,
	};

	int error = bulk_calm(&checkpoint->bulk, &checkpoint->anchor, checkpoint->info.epochs,
			      CALM_EPOCHS);
	if (!error && is_still(checkpoint))
		error = trim_carried(checkpoint);
	if (error)
		return error;
	int more = segment_prepare(&checkpoint->log, is_still(checkpoint));
	if (more)
		return more < 0 ? more : CHECKPOINT_MORE;
	if (is_still(checkpoint))
		return carry_goes_on(checkpoint, limit);
	if (!is_merging(checkpoint) && !(wants_merge(checkpoint) && merge_starts(checkpoint)))
		return 0;
	error = merge_goes_on(checkpoint, limit);
	return error ? error : is_merging(checkpoint) ? CHECKPOINT_MORE : 0;
}

/* A program that takes our descriptors, or all there are, is no trouble of the disk: epochs fail,
 * or find them again. */
static bool is_for_descriptors(int status)
{
	return status == -EMFILE || status == -ENFILE || status == -ENOENT || status == -EBADF;
}

/* That the disk is full is told by an epoch for which there is no room; of a page that is lost
 * there is more to say (damage.c), or a later merge has no need of it. */
static bool is_trouble(const struct checkpoint *checkpoint, int status)
{
	return status < 0 && status != -ENOSPC && status != -EAGAIN && !is_for_descriptors(status) &&
	       !checkpoint->home.fault_key;
}

int checkpoint_tend(struct checkpoint *checkpoint)
{
	CHECK(checkpoint->is_writer);
	checkpoint->home.fault_key = 0;
	const int status = tend(checkpoint);
	if (is_trouble(checkpoint, status))
		checkpoint->info.tend_error = status;
	else if (status == 0 && !is_still(checkpoint))
		checkpoint->info.tend_error = 0;
	return status;
}
