/*
 * The problem: a scan that asks of each page whether it is there takes 0.6 ms/GiB, in every pause;
 * one that asks for the protection alone, 0.2, but then a page that was never there counts as
 * written, and page tables are made to say that it is not. The trick: now and then, while threads
 * run, it is asked once where all pages are there; in such stretches the protection alone is asked
 * for. The guarantee: a page that has gone since is told once too often, and reads as what it is,
 * for only ranges are taken whose pages stay readable for good (the heap's window).
 */
#include "track-parts.h"

#define DENSE_BYTES_MIN (UINT64_C(4) << 20) /* less is not worth a call of its own */
#define SURVEY_EVERY 32

static void note(void *context, char *start, size_t len)
{
	struct track_dense *dense = context;
	struct pagemap_run *last = dense->count ? &dense->runs[dense->count - 1] : NULL;
	const uint64_t from = (uintptr_t)start;

	if (last && last->end == from) {
		last->end += len;
		return;
	}
	if (last && last->end - last->start < DENSE_BYTES_MIN)
		dense->count--;
	if (dense->count < TRACK_DENSE_MAX)
		dense->runs[dense->count++] = (struct pagemap_run){.start = from, .end = from + len};
}

void track_survey(struct track *track)
{
	struct track_dense *dense = &track->dense;
	const struct pagemap_query query = track_there(track);
	unsigned i = 0;

	if (track->kind != TRACK_WP || !track->lasting || dense->turn++ % SURVEY_EVERY)
		return;
	while (i < track->range_count && track->ranges[i].start != track->lasting)
		i++;
	dense->count = 0;
	if (i == track->range_count || track_pagemap_ready(track) != 0)
		return;
	uint64_t at = (uintptr_t)track->ranges[i].start;
	track_scan(track, &query, &at, at + track->ranges[i].len, note, dense);
	if (dense->count && dense->runs[dense->count - 1].end - dense->runs[dense->count - 1].start <
				    DENSE_BYTES_MIN)
		dense->count--;
}

/* To where is it as dense, or not, as here? */
uint64_t track_stretch(const struct track *track, uint64_t at, uint64_t end, bool *ret_is_dense)
{
	const struct track_dense *dense = &track->dense;

	*ret_is_dense = false;
	for (unsigned i = 0; i < dense->count && !track->has_closed; i++) {
		const struct pagemap_run *run = &dense->runs[i];
		if (run->end <= at)
			continue;
		*ret_is_dense = run->start <= at;
		const uint64_t stop = *ret_is_dense ? run->end : run->start;
		return stop < end ? stop : end;
	}
	return end;
}
