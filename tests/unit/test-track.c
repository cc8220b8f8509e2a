/* Tracking: every page stored to since the last collect is told, however it was stored to.
 *
 * What both kinds that follow stores promise is tried with both, where the kernel has them: Linux
 * 6.7 has userfaultfd's, soft-dirty bits are a matter of its configuration (Debian has them). */
#include "tracked.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 /* Linux 6.13 */
#endif

/* A kernel that can is told from one that cannot by other means than track_open()'s. */
static bool has_soft_dirty(void)
{
	const int clear = open("/proc/self/clear_refs", O_WRONLY);
	const int pagemap = open("/proc/self/pagemap", O_RDONLY);
	volatile char *page = map(1);
	uint64_t words[2] = {0, 0};

	for (int i = 0; i < 2; i++) {
		page[0] = 1;
		if (i == 0)
			cr_assert_eq(write(clear, "4", 1), 1);
		cr_assert_eq(pread(pagemap, &words[i], 8, (off_t)((uintptr_t)page / PAGE * 8)), 8);
	}
	close(clear);
	close(pagemap);
	munmap((char *)page, PAGE);
	return !(words[0] >> 55 & 1) && (words[1] >> 55 & 1);
}

Test(track, the_best_kind_works_on_this_kernel)
{
	track_open(&track, TRACK_WP);
	/* Whoever has PAGEMAP_SCAN and may call userfaultfd has WP_ASYNC, too. */
	if (track.has_scan && syscall(SYS_userfaultfd, 1) >= 0)
		cr_assert_eq(track.kind, TRACK_WP);
	track_close(&track);
	track_open(&track, TRACK_SOFT_DIRTY);
	cr_assert_eq(track.kind, has_soft_dirty() ? TRACK_SOFT_DIRTY : TRACK_COMPARE);
	track_close(&track);
	track_open(&track, TRACK_COMPARE);
	cr_assert_eq(track.kind, TRACK_COMPARE);
	track_close(&track);
}

TestBoth(every_way_to_store_is_told)
{
	int pipes[2];

	open_range(4096);
	for (int round = 0; round < 3; round++) { /* into new pages, then into pages there */
		range[1 * PAGE] = (char)round;
		memset(range + 3 * PAGE + 100, round, PAGE);
		__atomic_fetch_add((int *)(void *)(range + 6 * PAGE), 1, __ATOMIC_SEQ_CST);
		cr_assert_eq(pipe(pipes), 0);
		cr_assert_eq(write(pipes[1], "hello", 5), 5);
		cr_assert_eq(read(pipes[0], range + 9 * PAGE - 2, 5), 5);
		cr_assert_eq(syscall(SYS_getrandom, range + 12 * PAGE, 16, 0), 16);
		close(pipes[0]);
		close(pipes[1]);
		cr_assert_eq(collect(), 7);
		cr_assert(told[1] && told[3] && told[4] && told[6] && told[8] && told[9] && told[12]);
		cr_assert_eq(collect(), 0, "and once");
	}
	cr_assert_eq(range[0], 0, "reading is not told");
	volatile char sum = range[1 * PAGE];
	(void)sum;
	collect();
	cr_assert(!told[1]);
	close_range_tracked();
}

Test(wp, a_store_into_a_huge_page_is_told_alone)
{
	open_tracked();
	char *memory = map(2048); /* 8 MiB */
	range = (char *)(((uintptr_t)memory + 2 * MIB - 1) & ~(2 * MIB - 1));
	range_pages = 1024;
	madvise(range, 4 * MIB, MADV_HUGEPAGE);
	cr_assert_eq(track_add(&track, range, 4 * MIB), 0);
	memset(range, 1, 4 * MIB);
	cr_assert_eq(collect(), 1024);
	cr_assert_eq(collect(), 0);
	range[700 * PAGE] = 2;
	cr_assert_eq(collect(), 1);
	cr_assert(told[700]);
	track_close(&track);
	munmap(memory, 2048 * PAGE);
}

TestBoth(what_is_there_when_added_counts_as_written)
{
	open_tracked();
	range = map(100);
	range_pages = 100;
	range[5 * PAGE] = range[50 * PAGE] = 1;
	cr_assert_eq(track_add(&track, range, 100 * PAGE), 0);
	cr_assert_eq(collect(), 2);
	cr_assert(told[5] && told[50]);
	/* Taken out and put in again, it does so again. */
	track_remove(&track, range);
	range[6 * PAGE] = 1;
	cr_assert_eq(collect(), 0);
	cr_assert_eq(track_add(&track, range, 100 * PAGE), 0);
	cr_assert_eq(collect(), 3);
	close_range_tracked();
}

/* By userfaultfd; soft-dirty bits are the whole process's. */
TestBoth(what_is_settled_is_told_when_it_is_stored_to)
{
	open_tracked();
	range = map(100);
	range_pages = 100;
	range[5 * PAGE] = range[50 * PAGE] = range[52 * PAGE] = range[90 * PAGE] = 1;
	cr_assert_eq(track_settle(&track, range + 40 * PAGE, 20 * PAGE),
		     kind == TRACK_WP ? -EPERM : -EOPNOTSUPP, "nobody follows it");
	cr_assert_eq(track_add(&track, range, 100 * PAGE), 0);
	const int error = track_settle(&track, range + 40 * PAGE, 20 * PAGE);
	cr_assert_eq(error, kind == TRACK_WP ? 0 : -EOPNOTSUPP);
	track_join(&track);
	cr_assert_eq(collect(), error ? 4 : 2);
	cr_assert(told[5] && told[90]);
	range[40 * PAGE] = range[50 * PAGE] = range[59 * PAGE] = range[60 * PAGE] = 2;
	cr_assert_eq(collect(), 4);
	cr_assert(told[40] && told[50] && told[59] && told[60]);
	cr_assert_eq(collect(), 0);
	track_again(&track, range + 50 * PAGE); /* whoever could not take it asks for all of its range */
	cr_assert_geq(collect(), 4);
	cr_assert(told[50] && told[52]);
	close_range_tracked();
}

TestBoth(more_runs_than_one_call_returns)
{
	open_range(4 * TRACK_RUN_MAX);
	for (int round = 0; round < 3; round++) {
		for (size_t page = 0; page < range_pages; page += 2)
			range[page * PAGE]++;
		cr_assert_eq(collect(), 2 * TRACK_RUN_MAX);
		cr_assert_eq(collect(), 0);
	}
	close_range_tracked();
}

TestBoth(parts_may_be_closed_and_opened_later)
{
	open_tracked();
	range_pages = 4096;
	range = map(range_pages);
	cr_assert_eq(mprotect(range, range_pages * PAGE, PROT_NONE), 0);
	cr_assert_eq(track_add(&track, range, range_pages * PAGE), 0);
	cr_assert_eq(collect(), 0);
	cr_assert_eq(mprotect(range + 512 * PAGE, 512 * PAGE, PROT_READ | PROT_WRITE), 0);
	range[600 * PAGE] = 1;
	cr_assert_eq(collect(), 1);
	cr_assert_eq(collect(), 0);
	range[600 * PAGE] = 2;
	range[601 * PAGE] = 2;
	cr_assert_eq(collect(), 2);
	close_range_tracked();
}

TestBoth(what_was_given_back_is_not_told_until_it_is_there_again)
{
	open_range(64);
	memset(range, 1, 64 * PAGE);
	collect();
	cr_assert_eq(madvise(range + 8 * PAGE, 8 * PAGE, MADV_DONTNEED), 0);
	cr_assert_eq(collect(), 0);
	range[10 * PAGE] = 1;
	range[20 * PAGE] = 1;
	cr_assert_eq(madvise(range + 20 * PAGE, PAGE, MADV_DONTNEED), 0);
	cr_assert_eq(collect(), 1);
	cr_assert(told[10]);
	close_range_tracked();
}

TestBoth(a_part_mapped_anew_is_followed_renewed_or_not)
{
	open_range(64);
	for (int is_renewed = 0; is_renewed < 2; is_renewed++) {
		memset(range, 1, 64 * PAGE);
		collect();
		cr_assert_neq(mmap(range + 16 * PAGE, 8 * PAGE, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), MAP_FAILED);
		range[3 * PAGE] = range[18 * PAGE] = range[40 * PAGE] = 2;
		if (is_renewed)
			cr_assert_eq(track_renew(&track, range + 16 * PAGE, 8 * PAGE), 0);
		cr_assert_eq(collect(), 3);
		cr_assert(told[3] && told[18] && told[40]);
		range[19 * PAGE] = 2;
		cr_assert_eq(collect(), 1);
		cr_assert(told[19]);
	}
	close_range_tracked();
}

TestBoth(pages_moved_into_the_range_are_told_and_followed)
{
	open_range(64);
	memset(range, 1, 64 * PAGE);
	collect();
	char *other = map(8);
	memset(other, 3, 8 * PAGE);
	cr_assert_eq(mremap(other, 8 * PAGE, 8 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
			    range + 8 * PAGE), range + 8 * PAGE);
	range[1 * PAGE] = range[63 * PAGE] = 4;
	cr_assert_eq(collect(), 10);
	range[9 * PAGE] = 4;
	cr_assert_eq(collect(), 1);
	close_range_tracked();
}

Test(wp, a_mapping_that_cannot_be_followed_is_told_every_time)
{
	int fd = open("/proc/self/exe", O_RDONLY);

	open_range(64);
	memset(range, 1, 64 * PAGE);
	collect();
	range[1 * PAGE] = range[60 * PAGE] = 2;
	/* Of a file not opened for writing: this can never be made writable. */
	char *foreign = mmap(range + 30 * PAGE, 2 * PAGE, PROT_READ,
			     MAP_SHARED | MAP_FIXED | MAP_POPULATE, fd, 0);
	cr_assert_eq(foreign, range + 30 * PAGE);
	cr_assert_eq(collect(), 4);
	cr_assert(told[1] && told[30] && told[31] && told[60]);
	range[61 * PAGE] = 2;
	cr_assert_eq(collect(), 3);
	cr_assert(told[30] && told[31] && told[61]);
	close(fd);
	close_range_tracked();
}

TestBoth(guard_pages_are_not_told)
{
	open_range(64);
	memset(range, 1, 64 * PAGE);
	if (madvise(range + 8 * PAGE, 2 * PAGE, MADV_GUARD_INSTALL) != 0) {
		close_range_tracked();
		cr_skip_test("this kernel has no guard pages");
	}
	cr_assert_eq(collect(), 62);
	cr_assert(!told[8] && !told[9]);
	track_remove(&track, range);
	cr_assert_eq(track_add(&track, range, 64 * PAGE), 0);
	cr_assert_eq(collect(), 62);
	close_range_tracked();
}

TestBoth(many_ranges_are_told_each_in_order)
{
	open_tracked();
	char *memory = map(TRACK_RANGE_MAX * 4);
	range = memory;
	range_pages = (size_t)TRACK_RANGE_MAX * 4;
	for (size_t i = 0; i < TRACK_RANGE_MAX; i++)
		cr_assert_eq(track_add(&track, memory + i * 4 * PAGE, 2 * PAGE), 0);
	cr_assert_eq(track_add(&track, memory + 3 * PAGE, PAGE), -ENOSPC);
	memset(memory, 1, range_pages * PAGE);
	cr_assert_eq(collect(), (size_t)TRACK_RANGE_MAX * 2);
	cr_assert(told[0] && told[1] && !told[2] && !told[3]);
	track_remove(&track, memory + 4 * PAGE);
	memset(memory, 2, range_pages * PAGE);
	cr_assert_eq(collect(), (size_t)(TRACK_RANGE_MAX - 1) * 2);
	cr_assert(told[0] && !told[4] && told[8]);
	close_range_tracked();
}

Test(wp, a_sparse_range_costs_what_is_used)
{
	static char status[4096];
	const size_t len = (size_t)64 << 30;

	open_tracked();
	range = map(len / PAGE);
	range_pages = len / PAGE;
	cr_assert_eq(track_add(&track, range, len), 0);
	range[5] = range[len / 2] = range[len - 1] = 1;
	cr_assert_eq(collect(), 3);
	cr_assert_eq(collect(), 0);
	/* Page tables: three pages at most for each place used, not 128 MiB of markers. */
	int fd = open("/proc/self/status", O_RDONLY);
	cr_assert_gt(read(fd, status, sizeof(status) - 1), 0);
	close(fd);
	cr_assert_lt(atoi(strstr(status, "VmPTE:") + 6), 4096);
	close_range_tracked();
}

/* ---- The fallbacks ---- */

Test(track, comparing_tells_all_that_is_there)
{
	for (int has_scan = 0; has_scan < 2; has_scan++) {
		track_open(&track, TRACK_COMPARE);
		cr_assert_eq(track.kind, TRACK_COMPARE);
		if (has_scan && !track.has_scan)
			break;
		track.has_scan = has_scan;
		range_pages = 4096;
		range = map(range_pages);
		cr_assert_eq(track_add(&track, range, range_pages * PAGE), 0);
		cr_assert_eq(collect(), 0);
		range[0] = range[7 * PAGE] = range[8 * PAGE] = range[4095 * PAGE] = 1;
		for (size_t page = 1001; page < 3000; page += 2)
			range[page * PAGE] = 1;
		for (int i = 0; i < 2; i++) {
			cr_assert_eq(collect(), 1004);
			cr_assert(told[0] && told[7] && told[8] && told[1001] && told[4095]);
		}
		if (madvise(range + 7 * PAGE, PAGE, MADV_GUARD_INSTALL) == 0)
			cr_assert_eq(collect(), 1003, "guard pages cannot be read");
		close_range_tracked();
	}
}

/* Not even looked at, unless it is known that there is something. */
static void check_closed(void)
{
	range[1 * PAGE] = range[3 * PAGE] = 2;
	cr_assert_eq(mprotect(range + PAGE, PAGE, PROT_NONE), 0);
	cr_assert_eq(collect(), kind == TRACK_SOFT_DIRTY ? 1 : 7);
	cr_assert(!told[1] && told[3]);
	track.has_closed = true;
	range[3 * PAGE] = 2;
	cr_assert_geq(collect(), kind == TRACK_SOFT_DIRTY ? 1 : 8);
	cr_assert_eq(told[1], kind != TRACK_SOFT_DIRTY, "its bit was cleared with the others");
	cr_assert_eq(mprotect(range + PAGE, PAGE, PROT_READ | PROT_WRITE), 0);
	range[1 * PAGE] = 3;
	cr_assert_eq(mprotect(range + PAGE, PAGE, PROT_NONE), 0);
	collect();
	cr_assert(told[1]);
	close_range_tracked();
}

Test(track, comparing_passes_over_what_nobody_may_touch)
{
	kind = TRACK_COMPARE;
	open_range(8);
	track.has_scan = false;
	memset(range, 1, 8 * PAGE);
	cr_assert_eq(collect(), 8);
	check_closed();
}

Test(soft_dirty, what_nobody_may_touch_is_passed_over)
{
	kind = TRACK_SOFT_DIRTY;
	open_range(8);
	memset(range, 1, 8 * PAGE);
	cr_assert_eq(collect(), 8);
	check_closed();
}

/* What cannot tell one mapping from the next at its place tells what is not there. */
static size_t gone_pages;
static bool is_closed_looked_at;

static void note_gone(char *start, size_t len)
{
	gone_pages += len / PAGE;
	cr_assert(start >= range && start + len <= range + range_pages * PAGE);
}

static bool is_kept(const char *start, size_t len)
{
	return is_closed_looked_at && start == range + PAGE && len == PAGE;
}

static void check_gone(void)
{
	memset(range, 1, 6 * PAGE); /* of 8 */
	track.gone = note_gone;
	track.is_kept = is_kept;
	collect();
	cr_assert_eq(gone_pages, 2);
	cr_assert_neq(mmap(range + 2 * PAGE, 2 * PAGE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), MAP_FAILED);
	range[2 * PAGE] = 2;
	gone_pages = 0;
	collect();
	cr_assert(told[2] && !told[3], "what is there now is written");
	cr_assert_eq(gone_pages, 3);
	madvise(range, 2 * PAGE, MADV_DONTNEED);
	cr_assert_eq(mprotect(range + PAGE, PAGE, PROT_NONE), 0);
	for (int i = 0; i < 2; i++) {
		gone_pages = 0;
		is_closed_looked_at = i;
		collect();
		cr_assert_eq(gone_pages, track.has_scan || i ? 5 : 4);
	}
	close_range_tracked();
}

Test(track, comparing_tells_what_is_gone)
{
	kind = TRACK_COMPARE;
	for (int has_scan = 0; has_scan < 2; has_scan++) {
		open_range(8);
		if (has_scan && !track.has_scan)
			break;
		track.has_scan = has_scan;
		gone_pages = 0;
		check_gone();
	}
}

Test(soft_dirty, what_is_gone_is_told)
{
	kind = TRACK_SOFT_DIRTY;
	open_range(8);
	track.has_scan = false; /* as compare_collect() alone uses it */
	check_gone();
}

/* One set of bits for all: a collect clears those of memory that is not followed yet. */
Test(soft_dirty, what_is_added_later_counts_as_written)
{
	kind = TRACK_SOFT_DIRTY;
	open_range(16);
	char *later = map(2);
	later[0] = 1;
	cr_assert_eq(collect(), 0);
	cr_assert_eq(track_add(&track, later, 2 * PAGE), 0);
	cr_assert_eq(collect(), 1);
	close_range_tracked();
}

static bool is_absent[2048];

static void hear_absent(uint64_t start, uint64_t end)
{
	for (uint64_t at = start; at < end; at += PAGE)
		is_absent[(at - (uintptr_t)range) / PAGE] = true;
}

Test(wp, what_is_not_there_is_told_where_one_asks)
{
	kind = TRACK_WP;
	open_range(2048);
	if (track.kind != TRACK_WP)
		cr_skip_test("userfaultfd does not follow stores here");
	for (unsigned i = 0; i < 2048; i += 2)
		range[i * PAGE] = 1;
	collect();
	cr_assert_eq(madvise(range + 100 * PAGE, 10 * PAGE, MADV_DONTNEED), 0);
	cr_assert_eq(track_absent(&track, (uintptr_t)range, (uintptr_t)range + 2048 * PAGE,
				  hear_absent), 0, "in more than one call to the kernel");
	for (unsigned i = 0; i < 2048; i++)
		cr_assert_eq(is_absent[i], i % 2 == 1 || (i >= 100 && i < 110), "page %u", i);
	range[102 * PAGE] = 1;
	cr_assert_eq(collect(), 1, "and is told once it is stored to");
	close_range_tracked();
}
