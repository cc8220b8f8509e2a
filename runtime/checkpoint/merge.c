/*
 * The problem: the log must become free again, and home is written in place, without order and
 * without hurry, while the power may go and commits want their turn. The trick: pages, whole, the
 * newest state up to the target only (many epochs cost one write a page), in the order of the file,
 * neighbours in one write; then one sync; then the trim, in both superblocks; and only then the log
 * is free. Between any two runs of pages commits may pass: their entries hold over whatever mixture
 * of older states home has. The guarantee: as long as a page in home may be torn, the entries that
 * mend it are in the log.
 *
 * A failed write or sync is not repeated in part: the pages the kernel gave up look clean to it
 * and to us, so the trim stays and the next merge writes all of them again.
 */
#include "merge.h"

#include <errno.h>
#include <sys/mman.h>

#include "delta.h"
#include "memory.h"
#include "os.h"
#include "segment.h"

#define CLOCK_EVERY 16u /* pages between two looks at the clock */
#define COLLECT_MANY 1024u
#define READ_BYTES (UINT64_C(256) << 10)
#define RUN_BYTES (MERGE_RUN_PAGES * LAYOUT_BLOCK_BYTES)

void merge_begin(struct merge *merge, const struct home *home, const struct log_epoch *target)
{
	merge_abandon(merge);
	merge->phase = MERGE_COLLECT;
	merge->target = *target;
	merge->number = home->annals->first;
	merge->failures = home->medium->failures;
}

void merge_abandon(struct merge *merge)
{
	queue_deinit(&merge->queue);
	memory_free(merge->run.pages, merge->run.pages ? RUN_BYTES : 0);
	*merge = (struct merge){.pages = merge->pages};
}

/* ---- Which pages ---- */

/* Once through the part of the log that is about to be looked at here and there: then it is in
 * memory, and what of it cannot be read is an error here and not a signal there. */
static int read_ahead(struct merge *merge, struct log *log, const struct annals_entry *entry)
{
	const uint64_t end = entry->lines + delta_bytes(entry->mask);

	if (entry->lines >= merge->read_from && end <= merge->read_end)
		return 0;
	const uint64_t from = entry->lines & ~(LAYOUT_BLOCK_BYTES - 1);
	const uint64_t segment_end = segment_start(log, segment_of(log, from) + 1);
	merge->read_from = from;
	merge->read_end = from + READ_BYTES < segment_end ? from + READ_BYTES : segment_end;
	const uint64_t len = merge->read_end - from;
	const void *view = medium_view(log->medium, len, log_file_place(log, from));
	if (view && os_madvise((void *)(uintptr_t)view, len, MADV_POPULATE_READ) == 0)
		return 0;
	return medium_read(log->medium, log->buffer, len, log_file_place(log, from));
}

static int collect(struct merge *merge, struct home *home, struct log *log)
{
	const struct annals *annals = home->annals;
	int error = 0;

	for (unsigned i = 0; !error && i < COLLECT_MANY; i++, merge->number++) {
		if (merge->number == annals->committed ||
		    annals_at(annals, merge->number)->seq > merge->target.end.seq) {
			merge->phase = MERGE_WRITE;
			return 0;
		}
		const struct annals_entry *entry = annals_at(annals, merge->number);
		error = entry->mask ? read_ahead(merge, log, entry) : 0;
		/* Each page once: with the oldest of its entries. */
		if (!error && annals_before(annals, merge->number) == ANNALS_NONE)
			error = queue_put(&merge->queue, entry->key);
	}
	return error;
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

	if (!queue_take(&merge->queue, &key))
		return 0;
	const struct annals_entry *entry =
		annals_at(home->annals, annals_find(home->annals, key, merge->target.end.seq));
	const enum merge_fate fate = fate_of(entry);
	int error = make_room(merge, home, key, fate);
	if (!error && fate == MERGE_PUT)
		error = home_image(home, key, merge->target.end.seq, run->pages[run->count], lines);
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
			error = collect(merge, home, log);
		else if (merge->queue.count)
			error = write_page(merge, home);
		else
			break;
	}
	if (!error)
		error = write_run(merge, home);
	if (!error && merge->phase == MERGE_WRITE && !merge->queue.count)
		error = finish(merge, home, log);
	if (error)
		merge_abandon(merge);
	return error;
}
