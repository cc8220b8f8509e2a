/*
 * The problem: between reading a pool and being its one writer lie the growth of its spaces, bytes
 * that only a page cache holds, and the choice of an older epoch than the newest. The trick: each
 * of them is made durable before the next is begun, and each may be repeated. The guarantee: what
 * is reported as the newest epoch on return is on media, and whoever crashes half-way finds the
 * epochs he had before.
 */
#include "engine.h"

#include <errno.h>
#include <string.h>

#include "memory.h"
#include "shape.h"

static int prepare_writer(struct checkpoint *checkpoint)
{
	int error = shape_pool(&checkpoint->anchor,
			       roster_end(&checkpoint->roster, LAYOUT_USE_REGIONS),
			       checkpoint->plan.segment_bytes);

	if (!error)
		home_attach(&checkpoint->home);
	if (!error && checkpoint->epoch == 0) /* zeros; an emptied pool has checksums still */
		error = shape_forget_sums(&checkpoint->anchor);
	if (!error && !checkpoint->log.buffer)
		error = log_open(&checkpoint->log, &checkpoint->anchor, checkpoint->plan.log_bytes);
	if (!error && !checkpoint->buffer) {
		uint64_t room = checkpoint->log.segment_bytes - LAYOUT_BLOCK_BYTES;
		checkpoint->buffer_bytes = room < LAYOUT_RECORD_MAX_BYTES ? room : LAYOUT_RECORD_MAX_BYTES;
		checkpoint->buffer = memory_new(checkpoint->buffer_bytes);
		error = checkpoint->buffer ? 0 : -ENOMEM;
	}
	/* What is reported as the newest epoch from here on must not be in a page cache only. */
	return error ? error : log_adopt(&checkpoint->log);
}

static int branch_off(struct checkpoint *checkpoint)
{
	struct layout_record *record = (struct layout_record *)checkpoint->buffer;
	const struct layout_trim from = end_of_epoch(checkpoint, checkpoint->selected_epoch);
	uint64_t epochs[CHECKPOINT_EPOCHS_MAX];
	const unsigned count = checkpoint_epochs(checkpoint, epochs);
	/* Pages that later epochs had in home count as zeros from the branch record on. */
	int error = bulk_flag(&checkpoint->anchor, 1);

	if (error)
		return error;
	memset(record, 0, sizeof(*record));
	record->epoch = ++checkpoint->attempt;
	record->flags = LAYOUT_RECORD_COMMIT | LAYOUT_RECORD_BRANCH;
	record->branch = checkpoint->log.tail.branch + 1;
	record->image = from.epoch;
	record->oldest = epochs[count - 1];
	log_rewind(&checkpoint->log, &from);
	error = log_append(&checkpoint->log, record, true);
	if (error)
		return error;
	log_release_branch(&checkpoint->log, from.seq);
	annals_truncate(&checkpoint->annals, from.seq);
	checkpoint->epoch = record->epoch;
	select_epoch(checkpoint, record->epoch);
	return 0;
}

int checkpoint_attach(struct checkpoint *checkpoint)
{
	int error = checkpoint->plan.only_region ? -EINVAL : prepare_writer(checkpoint);

	if (!error && checkpoint->selected_epoch != checkpoint->epoch)
		error = branch_off(checkpoint);
	if (!error && checkpoint->anchor.sb.bulk)
		error = bulk_clean(&checkpoint->bulk, &checkpoint->home);
	if (!error)
		error = anchor_attach(&checkpoint->anchor, checkpoint->epoch);
	checkpoint->is_writer = checkpoint->home.is_log_viewed = !error;
	return error;
}

static bool has_home(const struct checkpoint *checkpoint, const struct region *region)
{
	const struct layout_superblock *sb = &checkpoint->anchor.sb;
	const uint64_t bytes = space_bytes(sb, region->home);

	return region->home_offset <= bytes &&
	       region->page_count <= (bytes - region->home_offset) / LAYOUT_BLOCK_BYTES;
}

/* One that is known already: the same, elsewhere in memory? */
static int meet_again(struct checkpoint *checkpoint, const struct region *known,
		      struct region *region)
{
	if (region->page_count != known->page_count || region->home != known->home ||
	    (region->home_offset != UINT64_MAX && region->home_offset != known->home_offset))
		return -EEXIST;
	region->home_offset = known->home_offset;
	roster_move(&checkpoint->roster, region);
	return 0;
}

int checkpoint_add_region(struct checkpoint *checkpoint, struct region *region)
{
	const struct region *known = roster_find(&checkpoint->roster, region->id);
	struct region copy = *region;
	int error = 0;

	if (known)
		return meet_again(checkpoint, known, region);
	if (copy.page_count > LAYOUT_PAGE_MAX)
		return -EINVAL;
	if (copy.home_offset == UINT64_MAX) {
		if (!checkpoint->is_writer || copy.home != LAYOUT_USE_REGIONS)
			return -EINVAL;
		copy.home_offset = roster_end(&checkpoint->roster, LAYOUT_USE_REGIONS);
		error = shape_pool(&checkpoint->anchor,
				   copy.home_offset + copy.page_count * LAYOUT_BLOCK_BYTES,
				   checkpoint->log.segment_bytes);
	} else if (!has_home(checkpoint, &copy) &&
		   (checkpoint->epoch || checkpoint->is_writer || copy.home == LAYOUT_USE_HEAP)) {
		return -ERANGE; /* a pool that keeps nothing (yet, or --new) gets its shape at attach */
	}
	if (!error)
		error = roster_add(&checkpoint->roster, &copy);
	if (!error)
		region->home_offset = copy.home_offset;
	return error;
}
