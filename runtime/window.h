/*
 * Windows: the range of addresses a heap lives at, and what stands behind it.
 *
 * The whole range is reserved PROT_NONE at the pool's recorded base and opened in steps, so that
 * a terabyte costs nothing, mlockall(MCL_FUTURE) locks only what is used, and overcommit=2 is
 * charged only for what is used. Two kinds:
 *   shared   keep=none: MAP_SHARED of the pool file; each step is fallocate()d first, so a full
 *            disk is ENOMEM and never SIGBUS. The first fork turns it private for good.
 *   private  what keep=heap works on; home changes by merge alone. Anonymous memory, huge pages
 *            wanted; what an earlier run left is shown from home, copied page by page when written.
 * Threads: the heap calls under its own page lock; nothing here locks.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pool.h"
#include "say.h"

enum window_kind { WINDOW_SHARED, WINDOW_PRIVATE };

struct window_range {
	size_t start;
	size_t end;
};
#define WINDOW_RANGE_MAX 64 /* places the heap may grow at independently */

struct window {
	enum window_kind kind;
	char *base;
	size_t size_bytes; /* reserved; less than the pool's under a tight RLIMIT_AS, or after
			    * the pool's file could not be grown */
	size_t block_bytes; /* shared: the file's blocks come and go by this many (window-blocks.c) */
	struct pool *pool; /* NULL: no file behind it (tests, forked children) */
	bool is_frozen;    /* shared turned private by fork: steps and purges are anonymous now */
	size_t open_bytes; /* sum of ranges */
	unsigned range_count;
	struct window_range ranges[WINDOW_RANGE_MAX]; /* opened, ascending, disjoint, not touching */
	size_t home_end;   /* private: nothing at or behind it is shown from home */
};

/* window_open() - reserve [base, base+size); STATUS_INCOMPATIBLE names the occupant's mapping.
 * Under a tight RLIMIT_AS the size is halved until it fits, but not below 64 MiB (or size, if
 * that is less): then STATUS_INCOMPATIBLE names the limit. */
int window_open(struct window *ret_window, enum window_kind kind, struct pool *pool,
		uint64_t base, uint64_t size_bytes, struct refusal *ret_why);
void window_close(struct window *window);

/* window_grow() - make [offset, offset+len) readable and writable, reading as zeros; page-aligned.
 * -ENOMEM, -ENOSPC, -EDQUOT, -EIO: nothing has changed. The range has never been opened, or was
 * purged since: a purged range of a shared window has no blocks any more, and must be grown again
 * before its first use, or a full disk is SIGBUS. For private windows that costs one cheap call. */
int window_grow(struct window *window, size_t offset, size_t len);

bool window_is_open(const struct window *window, size_t offset);

/* window_show_home() - of a private window: open [offset, offset+len), showing the file's bytes;
 * what is stored there is private. 0, or -errno and nothing has changed */
int window_show_home(struct window *window, size_t offset, size_t len);

/* window_purge() - give the memory of an open range back; it reads as zeros afterwards.
 * -errno: it still holds its old bytes. 1: done by mapping anew, which ends what a tracker has
 * registered there. */
int window_purge(struct window *window, size_t offset, size_t len);

/* window_populate() - fault an open range in, in one call; a hint, never fails visibly */
void window_populate(struct window *window, size_t offset, size_t len);

/* window_freeze() - before fork: from here on no store of this process or of its children
 * reaches the file. 0, or -errno and nothing has changed. As long as any descendant shows pages of
 * the file, the next owner is refused (STATUS_BUSY): it would empty them under the descendant. */
int window_freeze(struct window *window);

/* window_lend() - before a fork, of a private window: the child sees home's bytes in all pages this
 * process never wrote, and would see a merge. *ret_lease, a page the child inherits, holds the view
 * lock as long as a descendant has it mapped; the parent gives it back after the fork. NULL: no
 * home is shown. -errno: do not fork. */
int window_lend(struct window *window, void **ret_lease);
void window_lend_end(void *lease); /* NULL: nothing */
