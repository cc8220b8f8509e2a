/*
 * The problem: an epoch copies what was written since the last one, and only the kernel knows what
 * that was. The trick: ask it, in the best of three ways that this kernel, and whatever sandbox
 * the program runs in, lets us use; each is tried on a page before it is believed. The guarantee:
 * a page that was stored to is told; the error is on the side of too many.
 *
 * The program may close our descriptors (many close all they find) and may then have the numbers
 * mean something else. So each is compared with what it was before it is used, and opened again.
 * Mappings cannot be kept through a closed userfaultfd: then all their pages count as written,
 * which is also what the kernel makes of them.
 */
#include "track-parts.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "maps.h"
#include "os.h"
#include "ours.h"

static const struct track_way *way_of(enum track_kind kind)
{
	static const struct track_way *const ways[] = {
		[TRACK_WP] = &track_wp,
		[TRACK_SOFT_DIRTY] = &track_soft_dirty,
		[TRACK_COMPARE] = &track_compare,
	};

	return ways[kind];
}

const char *track_kind_name(enum track_kind kind)
{
	return way_of(kind)->name;
}

int track_fd_set(struct track_fd *fd, int opened)
{
	struct stat st;

	if (opened < 0)
		return opened;
	int moved = os_fd_move(opened);
	opened = moved < 0 ? opened : moved;
	int error = os_fstat(opened, &st);
	if (error) {
		os_close(opened);
		return error;
	}
	fd->dev = st.st_dev;
	fd->ino = st.st_ino;
	atomic_store(&fd->number, opened);
	ours_fd_renew((int *)&fd->number);
	return 0;
}

bool track_fd_is_ours(const struct track_fd *fd)
{
	struct stat st;

	return fd->number >= 0 && os_fstat(fd->number, &st) == 0 && st.st_dev == fd->dev &&
	       st.st_ino == fd->ino;
}

void track_fd_close(struct track_fd *fd)
{
	if (track_fd_is_ours(fd))
		os_close(fd->number);
	atomic_store(&fd->number, -1);
}

int track_pagemap_ready(struct track *track)
{
	if (track_fd_is_ours(&track->pagemap))
		return 0;
	return track_fd_set(&track->pagemap,
			    os_open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC, 0));
}

/* Which of PAGEMAP_SCAN's categories this kernel knows: it refuses the others. */
static void find_scan(struct track *track)
{
	const uint64_t page = (uintptr_t)track & ~(uint64_t)(OS_PAGE_BYTES - 1);
	struct pagemap_query query = {.any = PAGES_THERE, .returned = PAGES_PRESENT};

	track->has_scan = pagemap_scan(track->pagemap.number, &query, page, page + OS_PAGE_BYTES,
				       track->runs, TRACK_RUN_MAX) == 1;
	query.inverted = query.all = PAGES_GUARD;
	if (track->has_scan &&
	    pagemap_scan(track->pagemap.number, &query, page, page + OS_PAGE_BYTES, track->runs,
			 TRACK_RUN_MAX) == 1)
		track->guard = PAGES_GUARD;
}

struct pagemap_query track_there(const struct track *track)
{
	/* Guard pages have nothing to copy, and cannot be read. */
	return (struct pagemap_query){
		.inverted = track->guard,
		.all = track->guard,
		.any = PAGES_THERE,
		.returned = PAGES_PRESENT,
	};
}

/* In slices, so that a mapping call waits for one and not for the walk of a terabyte. Where one has
 * nothing the next is twice as long: mostly nothing is there, and 64 calls take 0.2 ms. */
#define SLICE_BYTES (UINT64_C(1) << 30)
#define SLICE_MAX_BYTES (UINT64_C(4) << 30)

static void announce(const struct track *track, const struct pagemap_run *run)
{
	for (unsigned steps = 1; track->soon && steps <= 3; steps++)
		if (run + steps < track->runs + TRACK_RUN_MAX && run[steps].end)
			track->soon((const char *)(uintptr_t)run[steps].start, steps);
}

int track_scan(struct track *track, const struct pagemap_query *query, uint64_t *at, uint64_t end,
	       track_visit *visit, void *context)
{
	uint64_t slice_bytes = SLICE_BYTES;
	long count = 0;

	while (*at < end && count >= 0) {
		const struct pagemap_run *run = track->runs;
		const uint64_t slice_end = end - *at > slice_bytes ? *at + slice_bytes : end;
		count = pagemap_scan(track->pagemap.number, query, *at, slice_end, track->runs,
				     TRACK_RUN_MAX);
		for (; run < track->runs + TRACK_RUN_MAX && run->end; run++) {
			announce(track, run);
			visit(context, (char *)(uintptr_t)run->start, run->end - run->start);
			*at = run->end;
		}
		if (count >= 0 && count < TRACK_RUN_MAX)
			*at = slice_end;
		if (count == 0 && slice_bytes < SLICE_MAX_BYTES)
			slice_bytes *= 2;
		else if (count > 0)
			slice_bytes = SLICE_BYTES;
	}
	return count < 0 ? (int)count : 0;
}

static int read_part(struct track *track, bool is_soft_dirty, uintptr_t start, uintptr_t end,
		     track_visit *visit, void *context)
{
	struct pagemap_run run;
	int found;

	track->ahead.end = 0;
	while ((found = pagemap_next(track->pagemap.number, &track->ahead, is_soft_dirty, start, end,
				     &run)) > 0) {
		char *const at = (char *)(uintptr_t)run.start;
		if (run.categories)
			visit(context, at, run.end - run.start);
		else if (track->gone)
			track->gone(at, run.end - run.start);
		start = run.end;
	}
	return found;
}

static bool is_read_whole(const struct track *track, const struct track_range *range)
{
	return range->is_new || track->has_closed;
}

/* What of the ranges lies in this mapping. */
static int read_map(struct track *track, bool is_soft_dirty, const struct map *map,
		    track_visit *visit, void *context)
{
	int error = 0;

	for (unsigned i = 0; i < track->range_count && !error; i++) {
		const struct track_range *range = &track->ranges[i];
		const uintptr_t range_start = (uintptr_t)range->start;
		const uintptr_t range_end = range_start + range->len;
		const uintptr_t start = map->start > range_start ? map->start : range_start;
		const uintptr_t end = map->end < range_end ? map->end : range_end;
		if (start < end && !is_read_whole(track, range))
			error = read_part(track, is_soft_dirty, start, end, visit, context);
	}
	return error;
}

static bool is_passed_over(const struct track *track, const struct map *map)
{
	return map->is_closed && !(track->is_kept && track->is_kept((const char *)map->start,
								    map->end - map->start));
}

/* A window is mostly a reservation that nobody may touch: 64 GiB of it would take 52 ms. */
int track_read(struct track *track, bool is_soft_dirty, track_visit *visit, void *context)
{
	struct maps maps;
	struct map map;
	int error = maps_open(&maps);

	if (error)
		return error;
	while (!error && maps_next(&maps, &map))
		if (!is_passed_over(track, &map))
			error = read_map(track, is_soft_dirty, &map, visit, context);
	maps_close(&maps);
	for (unsigned i = 0; i < track->range_count && !error; i++) {
		const struct track_range *range = &track->ranges[i];
		const uintptr_t start = (uintptr_t)range->start;
		if (is_read_whole(track, range))
			error = read_part(track, is_soft_dirty && !range->is_new, start,
					  start + range->len, visit, context);
	}
	return error;
}

static void count_visit(void *context, char *start, size_t len)
{
	*(size_t *)context += len;
}

static bool tells(struct track *track, size_t expected_bytes)
{
	size_t told = 0;

	return track_collect(track, count_visit, &told) == 0 && told == expected_bytes;
}

/* Two pages, of which the second is never touched. */
static bool works(struct track *track)
{
	volatile char *page = os_mmap(NULL, 2 * OS_PAGE_BYTES, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (os_is_error((void *)page))
		return false;
	page[0] = 1;
	bool is_fine = track_add(track, (void *)page, 2 * OS_PAGE_BYTES) == 0 &&
		       tells(track, OS_PAGE_BYTES);
	if (is_fine && track->kind != TRACK_COMPARE) {
		is_fine = tells(track, 0);
		page[1] = 1;
		is_fine = is_fine && tells(track, OS_PAGE_BYTES) && tells(track, 0);
	}
	track_remove(track, (void *)page);
	os_munmap((void *)page, 2 * OS_PAGE_BYTES);
	return is_fine;
}

void track_open(struct track *ret_track, enum track_kind best)
{
	struct track *track = ret_track;

	memset(track, 0, sizeof(*track));
	track->uffd.number = track->pagemap.number = track->clear.number = -1;
	if (track_pagemap_ready(track) == 0)
		find_scan(track);
	for (track->kind = best; track->kind != TRACK_COMPARE; track->kind++) {
		if (way_of(track->kind)->open(track) == 0 && works(track))
			return;
	}
}

void track_close(struct track *track)
{
	while (track->range_count)
		track_remove(track, track->ranges[track->range_count - 1].start);
	track_forget(track);
}

void track_forget(struct track *track)
{
	track_fd_close(&track->uffd);
	track_fd_close(&track->clear);
	track_fd_close(&track->pagemap);
}

int track_add(struct track *track, void *start, size_t len)
{
	if (track->range_count == TRACK_RANGE_MAX)
		return -ENOSPC;
	const struct track_way *way = way_of(track->kind);
	int error = way->watch ? way->watch(track, start, len) : 0;
	if (!error)
		track->ranges[track->range_count++] =
			(struct track_range){.start = start, .len = len, .is_new = true};
	return error;
}

void track_remove(struct track *track, void *start)
{
	unsigned i = 0;

	while (i < track->range_count && track->ranges[i].start != (char *)start)
		i++;
	if (i == track->range_count)
		return;
	const struct track_way *way = way_of(track->kind);
	if (way->unwatch)
		way->unwatch(track, start, track->ranges[i].len);
	track->range_count--;
	memmove(&track->ranges[i], &track->ranges[i + 1],
		(track->range_count - i) * sizeof(*track->ranges));
}

/* Of each range, what lies before and behind. The memory is not there, so it need not be let go. Of
 * the lasting one nothing: it is followed whatever is said of all that lies around it. */
int track_cut(struct track *track, void *start, size_t len)
{
	char *const from = start, *const to = from + len;
	const unsigned count = track->range_count;

	for (unsigned i = 0; i < count; i++) {
		struct track_range *range = &track->ranges[i];
		char *const end = range->start + range->len;
		if (from >= end || to <= range->start || range->start == track->lasting)
			continue;
		if (from > range->start && to < end) {
			if (track->range_count == TRACK_RANGE_MAX)
				return -ENOSPC;
			track->ranges[track->range_count] = *range;
			track->ranges[track->range_count].start = to;
			track->ranges[track->range_count++].len = (size_t)(end - to);
		}
		if (to < end && from <= range->start)
			range->start = to;
		range->len = from > range->start ? (size_t)(from - range->start)
						 : (to < end ? (size_t)(end - to) : 0);
	}
	return 0;
}

static void sort_ranges(struct track *track)
{
	for (unsigned i = 1; i < track->range_count; i++) {
		const struct track_range range = track->ranges[i];
		unsigned at = i;
		for (; at && track->ranges[at - 1].start > range.start; at--)
			track->ranges[at] = track->ranges[at - 1];
		track->ranges[at] = range;
	}
}

/* What is right beside the lasting range is not. */
static bool can_join(const struct track *track, const struct track_range *last,
		     const struct track_range *range)
{
	return last->start + last->len == range->start && last->is_new == range->is_new &&
	       last->start != track->lasting && range->start != track->lasting;
}

void track_join(struct track *track)
{
	unsigned kept = 0;

	sort_ranges(track);
	for (unsigned i = 0; i < track->range_count; i++) {
		const struct track_range *range = &track->ranges[i];
		struct track_range *last = kept ? &track->ranges[kept - 1] : NULL;
		if (range->len == 0)
			continue;
		if (last && can_join(track, last, range))
			last->len += range->len;
		else
			track->ranges[kept++] = *range;
	}
	track->range_count = kept;
}

int track_settle(struct track *track, void *start, size_t len)
{
	const struct track_way *way = way_of(track->kind);

	if (!way->settle)
		return -EOPNOTSUPP;
	if (track->range_count + 2 > TRACK_RANGE_MAX) /* what lies before it, behind it, and itself */
		return -ENOSPC;
	const int error = way->settle(track, start, len);
	if (error)
		return error;
	track_cut(track, start, len);
	track->ranges[track->range_count++] = (struct track_range){.start = start, .len = len};
	return 0;
}

int track_renew(struct track *track, void *start, size_t len)
{
	const struct track_way *way = way_of(track->kind);

	return way->renew ? way->renew(track, start, len) : 0;
}

int track_collect(struct track *track, track_visit *visit, void *context)
{
	int error = track_pagemap_ready(track);

	for (unsigned i = 0; i < track->range_count; i++)
		track->ranges[i].is_again = false;
	if (!error)
		error = way_of(track->kind)->collect(track, visit, context);
	for (unsigned i = 0; i < track->range_count; i++)
		track->ranges[i].is_new = error || track->ranges[i].is_again;
	return error;
}

/* In one piece: nobody runs who could wait for it. Asked for what is not there, the kernel passes
 * over the rest at a quarter of what telling it would cost. */
int track_absent(struct track *track, uint64_t start, uint64_t end,
		 void (*hear)(uint64_t start, uint64_t end))
{
	static const struct pagemap_query absent = {.inverted = PAGES_THERE, .all = PAGES_THERE};
	int error = track_pagemap_ready(track);
	long count = error;

	do {
		if (count >= 0)
			count = pagemap_scan(track->pagemap.number, &absent, start, end, track->runs,
					     TRACK_RUN_MAX);
		for (long i = 0; i < count; i++) {
			start = track->runs[i].end;
			hear(track->runs[i].start, start);
		}
	} while (count == TRACK_RUN_MAX);
	return count < 0 ? (int)count : 0;
}

void track_again(struct track *track, const void *page)
{
	for (unsigned i = 0; i < track->range_count; i++) {
		struct track_range *range = &track->ranges[i];
		if ((uintptr_t)page - (uintptr_t)range->start < range->len)
			range->is_new = range->is_again = true;
	}
}
