/*
 * A range that is followed, and which of its pages the last collect has told. What both kinds that
 * follow stores promise is tried with both, where the kernel has them.
 */
#pragma once

#include <criterion/criterion.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "checkpoint/track.h"

#define PAGE ((size_t)4096)
#define MIB ((size_t)1 << 20)
#define PAGE_MAX 8192

/* A test of the suites wp and soft_dirty. */
#define TestBoth(name)                                                                             \
	static void name(void);                                                                    \
	Test(wp, name)                                                                             \
	{                                                                                          \
		kind = TRACK_WP;                                                                   \
		name();                                                                            \
	}                                                                                          \
	Test(soft_dirty, name)                                                                     \
	{                                                                                          \
		kind = TRACK_SOFT_DIRTY;                                                           \
		name();                                                                            \
	}                                                                                          \
	static void name(void)

static enum track_kind kind; /* TRACK_WP, unless a test says so */
static struct track track;
static char *range;
static size_t range_pages;
static unsigned char told[PAGE_MAX]; /* of the range, by the last collect */
static size_t told_pages;            /* of all ranges */
static char *told_end;               /* of the last run */

static inline char *map(size_t pages)
{
	char *p = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	cr_assert_neq(p, MAP_FAILED);
	madvise(p, pages * PAGE, MADV_NOHUGEPAGE); /* where every mapping may have them */
	return p;
}

static inline void visit(void *context, char *start, size_t len)
{
	cr_assert_eq(context, &track);
	cr_assert(len > 0 && len % PAGE == 0 && (uintptr_t)start % PAGE == 0);
	for (size_t at = 0; at < len; at += PAGE) {
		size_t page = (size_t)(start + at - range) / PAGE;
		told_pages++;
		if (start + at < range || page >= range_pages)
			continue;
		cr_assert(page >= PAGE_MAX || told[page] == 0, "page %zu is told twice", page);
		if (page < PAGE_MAX)
			told[page] = 1;
	}
	told_end = start + len;
}

static inline size_t collect(void)
{
	memset(told, 0, sizeof(told));
	told_pages = 0;
	told_end = NULL;
	cr_assert_eq(track_collect(&track, visit, &track), 0);
	return told_pages;
}

static inline void open_tracked(void)
{
	track_open(&track, kind);
	if (track.kind != kind)
		cr_skip_test("this kernel cannot do %s", track_kind_name(kind));
}

/* A range of so many pages, none of which counts as written. */
static inline void open_range(size_t pages)
{
	open_tracked();
	range = map(pages);
	range_pages = pages;
	cr_assert_eq(track_add(&track, range, pages * PAGE), 0);
	cr_assert_eq(collect(), 0, "nothing is there yet");
}

static inline void close_range_tracked(void)
{
	track_close(&track);
	munmap(range, range_pages * PAGE);
}
