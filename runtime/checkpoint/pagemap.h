/*
 * Pagemap: what the kernel tells about the pages of a range. Room-private.
 *
 * The ioctl PAGEMAP_SCAN (Linux 6.7) and the eight bytes a page of /proc/self/pagemap before it.
 * Definitions are our own, under our own names: headers are often older than the kernel.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Categories of a page, for PAGEMAP_SCAN. */
#define PAGES_WP_ALLOWED (UINT64_C(1) << 0) /* its mapping is registered for WP_ASYNC */
#define PAGES_WRITTEN (UINT64_C(1) << 1)    /* not write-protected by us; true of holes, too */
#define PAGES_FILE (UINT64_C(1) << 2)       /* of a file, or shared: no copy of the process's own */
#define PAGES_PRESENT (UINT64_C(1) << 3)
#define PAGES_SWAPPED (UINT64_C(1) << 4)    /* or being migrated, or a marker stands there */
#define PAGES_GUARD (UINT64_C(1) << 8)      /* Linux 6.15: MADV_GUARD_INSTALL; unreadable */

/* There is something to copy. PRESENT alone misses what is swapped or being moved. */
#define PAGES_THERE (PAGES_PRESENT | PAGES_SWAPPED)

#define PAGES_PROTECT UINT64_C(1) /* flag: write-protect what is told, in the same step */
#define PAGES_CHECK UINT64_C(2)   /* flag: -EPERM at a mapping that is not registered */

struct pagemap_run {
	uint64_t start;
	uint64_t end;
	uint64_t categories;
};

/* A page is told if (categories ^ inverted) holds all of `all` and one of `any`. The kernel is
 * quickest where WRITTEN is all that is asked and returned. */
struct pagemap_query {
	uint64_t flags;
	uint64_t inverted;
	uint64_t all;
	uint64_t any;
	uint64_t returned; /* what runs are told apart by */
};

/* pagemap_scan() - runs of such pages in [start, end), at most run_max (<= 512), ascending; a full
 * array: go on behind its last run. Returns the count or -errno. Also on error the runs told until
 * then are in the array, and protected if that was asked; up to the first whose `end` is 0. */
long pagemap_scan(int fd, const struct pagemap_query *query, uint64_t start, uint64_t end,
		  struct pagemap_run *ret_runs, unsigned run_max);

/* pagemap_next() - the same without PAGEMAP_SCAN: the first run in [start, end) of pages that are
 * there and, if asked, soft-dirty: categories PAGES_THERE; or of pages that are not there: 0.
 * 3 ns a page, also where there is nothing. 1; 0: there is none; -errno. `ahead` is what has been
 * read already; all zeros at first. */
struct pagemap_ahead {
	uint64_t start;
	uint64_t end;
	uint64_t words[1024];
};
int pagemap_next(int fd, struct pagemap_ahead *ahead, bool is_soft_dirty, uint64_t start,
		 uint64_t end, struct pagemap_run *ret_run);

/* pagemap_has_own() - are there pages of the process's own in a mapping of a file? 0, 1, -errno */
int pagemap_has_own(int fd, uint64_t start, uint64_t end);
