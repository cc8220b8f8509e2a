/*
 * The problem: a kernel, or a sandbox, that tells nothing of stores. The trick: none; every page
 * that is there may have been written, and delta.c finds out by comparing. The guarantee is that
 * of the page tables: what was ever stored to is there, in memory or in swap; and what is not there
 * is gone.
 */
#include "track-parts.h"

static void tell_gone(void *context, char *start, size_t len)
{
	((struct track *)context)->gone(start, len);
}

static int scan_range(struct track *track, const struct track_range *range, track_visit *visit,
		      void *context)
{
	const struct pagemap_query there = track_there(track);
	const struct pagemap_query gone = {.inverted = PAGES_THERE, .all = PAGES_THERE};
	const uint64_t start = (uintptr_t)range->start, end = start + range->len;
	uint64_t at = start;
	int error = track_scan(track, &there, &at, end, visit, context);

	at = start;
	if (!error && track->gone)
		error = track_scan(track, &gone, &at, end, tell_gone, track);
	return error;
}

static int compare_collect(struct track *track, track_visit *visit, void *context)
{
	int error = track->has_scan ? 0 : track_read(track, false, visit, context);

	for (unsigned i = 0; track->has_scan && i < track->range_count && !error; i++)
		error = scan_range(track, &track->ranges[i], visit, context);
	return error;
}

const struct track_way track_compare = {
	.name = "compare",
	.collect = compare_collect,
};
