/*
 * The problem: the log must become free again, and home is written in place, without order and
 * without hurry, while the power may go and commits want their turn. The trick: pages, whole, the
 * newest state up to the target only (many epochs cost one write a page), in the order of the file,
 * neighbours in one write, and checksums by the block; then one sync; then the trim, in both
 * superblocks; and only then the log is free. Between any two steps commits may pass: their entries
 * hold over whatever mixture of older states home has. The guarantee: as long as a page in home may
 * be torn, the entries that mend it are in the log.
 *
 * A failed write or sync is not repeated in part: the pages the kernel gave up look clean to it
 * and to us, so the trim stays and the next merge writes all of them again.
 */
#include "merge.h"

#include <errno.h>

#include "checkpoint.h"
#include "memory.h"
#include "os.h"

#define CLOCK_EVERY 16u /* pages between two looks at the clock */
#define RUN_BYTES (MERGE_RUN_PAGES * LAYOUT_BLOCK_BYTES)

void merge_begin(struct merge *merge, const struct home *home, const struct log_epoch *target)
{
	merge_abandon(merge);
	merge->phase = MERGE_COLLECT;
	harvest_begin(&merge->harvest, home->annals, target);
	merge->failures = home->medium->failures;
}

void merge_abandon(struct merge *merge)
{
	harvest_deinit(&merge->harvest);
	memory_free(merge->run.pages, merge->run.pages ? RUN_BYTES : 0);
	*merge = (struct merge){.pages = merge->pages};
}

/* ---- Writing ---- */

static int write_run(struct merge *merge, struct home *home)
{
	struct merge_run *run = &merge->run;
	const unsigned count = run->count;

	run->count = 0;
	merge->pages += count;
	return count ? home_write(home, run->key, count, run->fate == MERGE_PUT ? run->pages : NULL,
				  run->sums)
		     : 0;
}

static enum merge_fate fate_of(const struct annals_entry *entry)
{
	return entry->kind == LAYOUT_ENTRY_HOME ? MERGE_THERE : entry->sum ? MERGE_PUT : MERGE_ZERO;
}

/* Room in the run for this page; what does not go together is written. */
static int make_room(struct merge *merge, struct home *home, uint64_t key, enum merge_fate fate)
{
	struct merge_run *run = &merge->run;
	int error = 0;

	if (run->count == MERGE_RUN_PAGES || run->fate != fate || run->key + run->count != key ||
	    !home_run(home, run->key, run->count + 1))
		error = write_run(merge, home);
	if (!run->pages)
		run->pages = memory_new(RUN_BYTES);
	if (!run->count) {
		run->key = key;
		run->fate = fate;
	}
	return error ? error : run->pages ? 0 : -ENOMEM;
}

static int write_page(struct merge *merge, struct home *home)
{
	struct merge_run *run = &merge->run;
	uint64_t lines[LAYOUT_LINES], key;

	if (!queue_take(&merge->harvest.queue, &key))
		return 0;
	const struct annals_entry *entry =
		annals_at(home->annals, annals_find(home->annals, key, merge->harvest.target.end.seq));
	const enum merge_fate fate = fate_of(entry);
	int error = make_room(merge, home, key, fate);
	if (!error && fate == MERGE_PUT)
		error = home_image(home, key, merge->harvest.target.end.seq, run->pages[run->count], lines);
	if (!error)
		run->sums[run->count++] = entry->sum;
	return error;
}

static int finish(struct merge *merge, struct home *home, struct log *log)
{
	struct layout_superblock next;
	int error = 0;

	/* The trim says that all of this is on media. */
	error = medium_sync(home->medium);
	if (!error && home->medium->failures != merge->failures)
		error = -EAGAIN; /* whose it was has been told */
	if (error)
		return error;
	next = home->anchor->sb;
	next.trim = merge->harvest.target.end;
	error = anchor_update(home->anchor, &next);
	if (error)
		return error;
	home->anchor->is_trim_certain = true;
	log_trim(log);
	merge_abandon(merge);
	return 0;
}

bool merge_is_late(struct merge_limit limit, uint64_t done)
{
	return done % CLOCK_EVERY == CLOCK_EVERY - 1 && limit.until_ns != UINT64_MAX &&
	       os_clock_ns(CLOCK_MONOTONIC) >= limit.until_ns;
}

static int collect(struct merge *merge, struct home *home, struct log *log)
{
	const int more = harvest_collect(&merge->harvest, home->annals, log);

	if (merge->harvest.is_unreadable)
		home->is_log_viewed = false;
	if (!more)
		merge->phase = MERGE_WRITE;
	return more == CHECKPOINT_MORE ? 0 : more;
}

int merge_step(struct merge *merge, struct home *home, struct log *log, struct merge_limit limit)
{
	int error = 0;

	for (uint64_t i = 0; !error && i < limit.pages; i++) {
		if (merge_is_late(limit, i))
			break;
		if (merge->phase == MERGE_COLLECT)
			error = collect(merge, home, log);
		else if (merge->harvest.queue.count)
			error = write_page(merge, home);
		else
			break;
	}
	if (!error)
		error = write_run(merge, home);
	if (!error) /* between two steps, and for the sync, home has the checksums of all it has */
		error = home_settle(home);
	if (!error && merge->phase == MERGE_WRITE && !merge->harvest.queue.count)
		error = finish(merge, home, log);
	if (error) {
		merge_abandon(merge);
		home_abandon(home);
	}
	return error;
}
