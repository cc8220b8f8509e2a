/*
 * The problem: a kernel, or a sandbox, that tells nothing of stores. The trick: none; every page
 * that is there may have been written, and delta.c finds out by comparing. The guarantee is that
 * of the page tables: what was ever stored to is there, in memory or in swap.
 */
#include "track-parts.h"

static int compare_collect(struct track *track, track_visit *visit, void *context)
{
	const struct pagemap_query query = track_there(track);
	int error = track->has_scan ? 0 : track_read(track, false, visit, context);

	for (unsigned i = 0; track->has_scan && i < track->range_count && !error; i++) {
		const struct track_range *range = &track->ranges[i];
		uint64_t at = (uintptr_t)range->start;
		error = track_scan(track, &query, &at, at + range->len, visit, context);
	}
	return error;
}

const struct track_way track_compare = {
	.name = "compare",
	.collect = compare_collect,
};
