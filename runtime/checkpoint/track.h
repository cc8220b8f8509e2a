/*
 * Track: which pages were written since they were last asked for. Room-private; but for its kinds
 * and track_open(), the committer's business.
 *
 *   WP          userfaultfd WP_ASYNC and PAGEMAP_SCAN (Linux 6.7): the first store to a page costs
 *               a fault of 0.7 us in the kernel, collecting 0.3 ms/GiB; while threads run, too
 *   SOFT_DIRTY  /proc/self/clear_refs and pagemap: one bit for the whole process, so all ranges are
 *               collected together, and only while every thread is stopped
 *   COMPARE     nothing is known: every page that is there may have been written
 *
 * "Written" errs on one side only: a page may be reported that was not stored to.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pagemap.h"

enum track_kind { TRACK_WP, TRACK_SOFT_DIRTY, TRACK_COMPARE };

#define TRACK_RANGE_MAX 8192
#define TRACK_RUN_MAX 512

struct track_range {
	char *start;
	size_t len;
	bool is_new;   /* all its pages count as written */
	bool is_again; /* so it shall be at the next collect, too */
};

/* A descriptor the program may close, and use its number for something else. */
struct track_fd {
	_Atomic int number; /* -1: none */
	uint64_t dev;
	uint64_t ino;
};

/* Where all pages are there, as of the last track_survey(). */
#define TRACK_DENSE_MAX 64
struct track_dense {
	unsigned turn;
	unsigned count;
	struct pagemap_run runs[TRACK_DENSE_MAX];
};

/* Used by one thread at a time, but for track_renew(). No errno, no TLS, no malloc. */
struct track {
	enum track_kind kind;
	bool has_scan;           /* PAGEMAP_SCAN works */
	_Atomic bool has_closed; /* set from outside, if mappings nobody may touch have contents that
				  * were stored before they were closed: then they are read, too */
	/* NULL, or the start of a range that is never cut, whose pages can be read for good once they
	 * are there: given back, they are zeros */
	char *lasting;
	struct track_dense dense;
	uint64_t guard;          /* PAGES_GUARD where the kernel knows it, else 0 */
	struct track_fd uffd;    /* WP */
	struct track_fd pagemap; /* /proc/self/pagemap; of all kinds */
	struct track_fd clear;   /* SOFT_DIRTY: /proc/self/clear_refs */
	void (*soon)(const char *start, unsigned steps); /* NULL, or told of each run before it is
							  * visited, 3, 2 and 1 runs earlier */
	/* NULL, or told of each mapping in a range that is followed that has come in the place of
	 * another, before it is collected: pages of it that are not there are zeros now. WP only */
	void (*replaced)(char *start, size_t len);
	/* The others see no mapping come in the place of another. NULL, or told of all in the ranges
	 * that is not there: what was there is not any more. A mapping that nobody may touch is
	 * looked at for that only if is_kept() says that something in it was */
	void (*gone)(char *start, size_t len);
	bool (*is_kept)(const char *start, size_t len);
	unsigned range_count;
	struct track_range ranges[TRACK_RANGE_MAX];
	struct pagemap_run runs[TRACK_RUN_MAX];
	struct pagemap_ahead ahead;
};

/* track_open() - the best kind, not better than `best`, that works here, found out by trying it on
 * a page; never fails: COMPARE needs nothing but pagemap */
void track_open(struct track *ret_track, enum track_kind best);
void track_close(struct track *track);
/* track_forget() - in a forked child: only its copies of our descriptors go; they act on the memory
 * of the parent, which stays followed */
void track_forget(struct track *track);
const char *track_kind_name(enum track_kind kind);

/* track_add() - follow a page-aligned range of private memory; parts of it may be PROT_NONE. All
 * its pages that are there count as written. 0 or -errno (-ENOSPC: too many ranges) */
int track_add(struct track *track, void *start, size_t len);
void track_remove(struct track *track, void *start);

/* track_cut() - a part of what is followed is there no more, or is something else now.
 * track_join() - ranges that touch become one */
int track_cut(struct track *track, void *start, size_t len);
void track_join(struct track *track);

/* track_settle() - of a part of what is followed, all that is there now is known already, and
 * nobody stores to it meanwhile: it is told when it is stored to. 0; -errno: it counts as written,
 * as before (-EOPNOTSUPP: not by this kind) */
int track_settle(struct track *track, void *start, size_t len);

/* track_renew() - a part of a followed range has been mapped anew (mmap MAP_FIXED, mremap), which
 * drops the registration; any thread, also while another collects. Without it the next collect
 * finds out by itself, at the cost of a second look. 0 or -errno */
int track_renew(struct track *track, void *start, size_t len);

/* track_collect() - visit all written pages, as runs, and begin anew for them: a store that what
 * visit() reads may not have in it is told by the next call. What it reads may be half of a store
 * that is going on. Runs ascend within a range; only those of a mapping that cannot be followed
 * (read-only, say), all of which are told every time, come after the others.
 * Of a page that is not there (never touched, or given back) nothing is told.
 * 0; -errno: count all pages as written, the next call will do so. */
typedef void track_visit(void *context, char *start, size_t len);
int track_collect(struct track *track, track_visit *visit, void *context);

/* track_absent() - what of the mappings in [start, end), followed or not, is not there; threads
 * stand. WP only. 0; -errno: something may have been passed over */
int track_absent(struct track *track, uint64_t start, uint64_t end,
		 void (*hear)(uint64_t start, uint64_t end));

/* track_survey() - now and then, while threads run: makes later collects quicker */
void track_survey(struct track *track);

/* track_again() - what was told could not be taken (visit() may call this, too): all pages of the
 * range with this address count as written again */
void track_again(struct track *track, const void *page);

/* track_can_run() - may threads run meanwhile? Else they must stand still during the call. */
static inline bool track_can_run(const struct track *track)
{
	return track->kind == TRACK_WP;
}
