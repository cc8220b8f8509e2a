/*
 * Track: which pages were written since they were last asked for. Room-private; but for its kinds
 * and track_open(), the committer's business.
 *
 *   WP          userfaultfd WP_ASYNC and PAGEMAP_SCAN (Linux 6.7): the first store to a page costs a
 *               fault of 0.7 us in the kernel, collecting 0.3 ms/GiB; while threads run, too
 *   SOFT_DIRTY  /proc/self/clear_refs and pagemap: one bit for the whole process, so all ranges are
 *               collected together, and only while every thread is stopped
 *   COMPARE     nothing is known: every page that is there may have been written
 *
 * "Written" errs on one side only: a page may be reported that was not stored to.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum track_kind { TRACK_WP, TRACK_SOFT_DIRTY, TRACK_COMPARE };

#define TRACK_RANGE_MAX 320

struct track_range {
	char *start;
	size_t len;
};

/* Used by one thread at a time, but for track_renew(). No errno, no TLS, no malloc. */
struct track {
	enum track_kind kind;
	int uffd;     /* WP */
	int pagemap;  /* /proc/self/pagemap; of all kinds */
	int clear;    /* SOFT_DIRTY: /proc/self/clear_refs */
	unsigned range_count;
	struct track_range ranges[TRACK_RANGE_MAX];
};

/* track_open() - the best kind, not better than `best`, that works here, found out by trying it on
 * a page; never fails: COMPARE needs nothing but pagemap */
void track_open(struct track *ret_track, enum track_kind best);
void track_close(struct track *track);
const char *track_kind_name(enum track_kind kind);

/* track_add() - follow a page-aligned range of private memory; parts of it may be PROT_NONE. All
 * its pages that are there count as written. 0 or -errno (-ENOSPC: too many ranges) */
int track_add(struct track *track, void *start, size_t len);
void track_remove(struct track *track, void *start);

/* track_renew() - a part of a followed range has been mapped anew (mmap MAP_FIXED), which drops
 * the registration; any thread, also while another collects. 0 or -errno */
int track_renew(struct track *track, void *start, size_t len);

/* track_collect() - visit all written pages, as runs, ascending within a range, and begin anew for
 * them: a store after its page was visited, or during the call, is told by the next. What visit()
 * reads may be half of a store that is going on, which the next call then reports.
 * Of a page that is not there (never touched, or given back) nothing is told.
 * track_can_run(): may threads run meanwhile? 0 or -errno: everything counts as written again. */
typedef void track_visit(void *context, char *start, size_t len);
int track_collect(struct track *track, track_visit *visit, void *context);
static inline bool track_can_run(const struct track *track)
{
	return track->kind == TRACK_WP;
}
