/*
 * The problem: nothing but the kernel knows which pages of a mapping are there and which were
 * written. The trick is its own: PAGEMAP_SCAN walks page tables and returns runs, skipping what
 * does not exist; on older kernels /proc/self/pagemap has a word for every page of the address
 * space. The guarantee: no page that is there is passed over, whether present, swapped out or
 * just being moved.
 *
 * Of PAGEMAP_SCAN's results the count alone is believed. Its walk_end is stale once more than one
 * of the kernel's internal buffers was handed over; and on error there is no count at all, though
 * pages have been write-protected, so the array is cleared before and read up to its first zero.
 */
#include "pagemap.h"

#include <errno.h>
#include <sys/ioctl.h>

#include "os.h"

/* The argument of PAGEMAP_SCAN, as the kernel lays it out. */
struct scan_argument {
	uint64_t size;
	uint64_t flags;
	uint64_t start;
	uint64_t end;
	uint64_t walk_end; /* returned */
	uint64_t runs;
	uint64_t run_max;
	uint64_t page_max; /* 0: no limit */
	uint64_t category_inverted;
	uint64_t category_all;
	uint64_t category_any;
	uint64_t category_returned;
};

#define SCAN _IOWR('f', 16, struct scan_argument)

/* A word of /proc/self/pagemap. */
#define WORD_PRESENT (UINT64_C(1) << 63)
#define WORD_SWAPPED (UINT64_C(1) << 62)
#define WORD_FILE (UINT64_C(1) << 61)
#define WORD_GUARD (UINT64_C(1) << 58) /* Linux 6.15; 0 before */
#define WORD_SOFT_DIRTY (UINT64_C(1) << 55)

long pagemap_scan(int fd, const struct pagemap_query *query, uint64_t start, uint64_t end,
		  struct pagemap_run *ret_runs, unsigned run_max)
{
	struct scan_argument argument = {
		.size = sizeof(argument),
		.flags = query->flags,
		.start = start,
		.end = end,
		.runs = (uintptr_t)ret_runs,
		.run_max = run_max,
		.category_inverted = query->inverted,
		.category_all = query->all,
		.category_any = query->any,
		.category_returned = query->returned,
	};

	for (unsigned i = 0; i < run_max; i++)
		ret_runs[i].end = 0;
	return os_ioctl(fd, SCAN, &argument);
}

static int read_ahead(int fd, struct pagemap_ahead *ahead, uint64_t from, uint64_t end)
{
	uint64_t pages = (end - from) / OS_PAGE_BYTES;

	if (pages > sizeof(ahead->words) / sizeof(*ahead->words))
		pages = sizeof(ahead->words) / sizeof(*ahead->words);
	ahead->start = from;
	ahead->end = from + pages * OS_PAGE_BYTES;
	return os_pread_all(fd, ahead->words, pages * sizeof(*ahead->words),
			    from / OS_PAGE_BYTES * sizeof(*ahead->words));
}

/* What is said of a page: a category, or NOTHING. */
#define NOTHING UINT64_MAX

static uint64_t told_of(uint64_t word, uint64_t dirty)
{
	if (!(word & (WORD_PRESENT | WORD_SWAPPED)) || word & WORD_GUARD)
		return 0;
	return (word & dirty) == dirty ? PAGES_THERE : NOTHING;
}

int pagemap_next(int fd, struct pagemap_ahead *ahead, bool is_soft_dirty, uint64_t start,
		 uint64_t end, struct pagemap_run *ret_run)
{
	const uint64_t dirty = is_soft_dirty ? WORD_SOFT_DIRTY : 0;
	uint64_t told = NOTHING;
	uint64_t first = start;
	uint64_t at = start;

	for (; at < end; at += OS_PAGE_BYTES) {
		if (at < ahead->start || at >= ahead->end) {
			int error = read_ahead(fd, ahead, at, end);
			if (error)
				return error;
		}
		const uint64_t now = told_of(ahead->words[(at - ahead->start) / OS_PAGE_BYTES], dirty);
		if (now == told)
			continue;
		if (told != NOTHING)
			break;
		told = now;
		first = at;
	}
	if (told == NOTHING)
		return 0;
	*ret_run = (struct pagemap_run){.start = first, .end = at, .categories = told};
	return 1;
}

static int read_has_own(int fd, uint64_t start, uint64_t end)
{
	uint64_t words[64];

	for (uint64_t at = start; at < end;) {
		const uint64_t left = (end - at) / OS_PAGE_BYTES;
		const uint64_t count = left < 64 ? left : 64;
		const int error = os_pread_all(fd, words, count * sizeof(*words),
					       at / OS_PAGE_BYTES * sizeof(*words));
		if (error)
			return error;
		for (uint64_t i = 0; i < count; i++)
			if (words[i] & (WORD_PRESENT | WORD_SWAPPED) && !(words[i] & WORD_FILE))
				return 1;
		at += count * OS_PAGE_BYTES;
	}
	return 0;
}

int pagemap_has_own(int fd, uint64_t start, uint64_t end)
{
	const struct pagemap_query query = {
		.inverted = PAGES_FILE,
		.all = PAGES_FILE,
		.any = PAGES_THERE,
		.returned = PAGES_PRESENT,
	};
	struct pagemap_run run;
	const long count = pagemap_scan(fd, &query, start, end, &run, 1);

	return count >= 0 ? count > 0 : read_has_own(fd, start, end);
}
