/*
 * The problem: the log must become free again, and home is written in place, without order and
 * without hurry, while the power may go and commits want their turn. The trick: pages, whole, the
 * newest state up to the target only (many epochs cost one write a page), in the order of the file;
 * then one sync; then the trim, in both superblocks; and only then the log is free. Between any two
 * pages commits may pass: their entries hold over whatever mixture of older states home has. The
 * guarantee: as long as a page in home may be torn, the entry that mends it is in the log.
 *
 * A failed write or sync is not repeated in part: the pages the kernel gave up look clean to it
 * and to us, so the trim stays and the next merge writes all of them again.
 */
#include "merge.h"

#include <errno.h>

#include "os.h"
#include "record.h"

#define CLOCK_EVERY 16u /* pages between two looks at the clock */

void merge_begin(struct merge *merge, const struct home *home, const struct log_epoch *target)
{
	merge_abandon(merge);
	merge->phase = MERGE_COLLECT;
	merge->target = *target;
	merge->failures = home->medium->failures;
}

void merge_abandon(struct merge *merge)
{
	queue_deinit(&merge->queue);
	*merge = (struct merge){.pages = merge->pages};
}

static int collect_record(struct merge *merge, struct log *log)
{
	const struct layout_record *record;
	struct index_entry entry;
	uint64_t at = 0;
	int error = log_read(log, &merge->cursor, merge->target.epoch, &record);

	if (error <= 0) {
		merge->phase = error ? merge->phase : MERGE_WRITE;
		return error;
	}
	while ((error = record_next_entry(record, &at, &entry)) == 1) {
		error = queue_put(&merge->queue, &entry);
		if (error)
			return error;
	}
	return error;
}

static int write_page(struct merge *merge, struct home *home)
{
	char page[LAYOUT_BLOCK_BYTES] __attribute__((aligned(64)));
	struct index_entry entry;
	int error = 0;

	if (!queue_take(&merge->queue, &entry) || entry.key == merge->done_key)
		return 0;
	merge->done_key = entry.key;
	merge->pages++;
	if (entry.kind != LAYOUT_ENTRY_HOME) /* that is there already */
		error = home_image(home, entry.key, &entry, page);
	return error ? error : home_write(home, &entry, page);
}

static int finish(struct merge *merge, struct home *home, struct log *log)
{
	struct layout_superblock next;
	int error = 0;

	/* The trim says that all of this is on media. */
	error = medium_sync(home->medium);
	if (!error && home->medium->failures != merge->failures)
		error = -EIO;
	if (error)
		return error;
	next = home->anchor->sb;
	next.trim = merge->target.end;
	error = anchor_update(home->anchor, &next);
	if (error)
		return error;
	home->anchor->is_trim_certain = true;
	log_trim(log);
	merge_abandon(merge);
	return 0;
}

int merge_step(struct merge *merge, struct home *home, struct log *log, struct merge_limit limit)
{
	int error = 0;

	for (uint64_t i = 0; !error && i < limit.pages; i++) {
		if (i % CLOCK_EVERY == CLOCK_EVERY - 1 && limit.until_ns != UINT64_MAX &&
		    os_clock_ns(CLOCK_MONOTONIC) >= limit.until_ns)
			break;
		if (merge->phase == MERGE_COLLECT)
			error = collect_record(merge, log);
		else if (merge->queue.count)
			error = write_page(merge, home);
		else
			break;
	}
	if (!error && merge->phase == MERGE_WRITE && !merge->queue.count)
		error = finish(merge, home, log);
	if (error)
		merge_abandon(merge);
	return error;
}
