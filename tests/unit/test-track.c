/* Tracking: every page stored to since the last collect is told, however it was stored to.
 *
 * What both kinds that follow stores promise is tried with both, where the kernel has them: Linux
 * 6.7 has userfaultfd's, soft-dirty bits are a matter of its configuration (Debian has them). */
#include "checkpoint/track.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os.h"

#define PAGE ((size_t)4096)
#define MIB ((size_t)1 << 20)
#define PAGE_MAX 8192
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 /* Linux 6.13 */
#endif

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

static char *map(size_t pages)
{
	char *p = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	cr_assert_neq(p, MAP_FAILED);
	madvise(p, pages * PAGE, MADV_NOHUGEPAGE); /* where every mapping may have them */
	return p;
}

static void visit(void *context, char *start, size_t len)
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

static size_t collect(void)
{
	memset(told, 0, sizeof(told));
	told_pages = 0;
	told_end = NULL;
	cr_assert_eq(track_collect(&track, visit, &track), 0);
	return told_pages;
}

static void open_tracked(void)
{
	track_open(&track, kind);
	if (track.kind != kind)
		cr_skip_test("this kernel cannot do %s", track_kind_name(kind));
}

/* A range of so many pages, none of which counts as written. */
static void open_range(size_t pages)
{
	open_tracked();
	range = map(pages);
	range_pages = pages;
	cr_assert_eq(track_add(&track, range, pages * PAGE), 0);
	cr_assert_eq(collect(), 0, "nothing is there yet");
}

static void close_range_tracked(void)
{
	track_close(&track);
	munmap(range, range_pages * PAGE);
}

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

TestBoth(a_forked_child_leaves_the_parent_followed)
{
	open_range(64);
	memset(range, 1, 64 * PAGE);
	collect();
	range[1 * PAGE] = 2;
	pid_t child = fork();
	if (child == 0) {
		range[2 * PAGE] = 2; /* does not block: the child's range is not registered */
		track_forget(&track);
		_exit(track.uffd.number == -1 ? 0 : 1);
	}
	int status;
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert_eq(status, 0);
	range[3 * PAGE] = 2;
	cr_assert_eq(collect(), 2);
	cr_assert(told[1] && told[3]);
	range[4 * PAGE] = 2;
	cr_assert_eq(collect(), 1);
	close_range_tracked();
}

/* The numbers are closed, or mean something else, while a child may still hold the descriptions. */
static void check_lost_descriptors(bool is_reused, bool is_held)
{
	int pipes[2] = {-1, -1};
	pid_t child = 0;

	open_range(64);
	memset(range, 1, 64 * PAGE);
	collect();
	if (is_held) {
		cr_assert_eq(pipe(pipes), 0);
		child = fork();
		if (child == 0) {
			char byte;
			close(pipes[1]);
			_exit((int)read(pipes[0], &byte, 1));
		}
	}
	range[1 * PAGE] = 2;
	const int numbers[] = {
		kind == TRACK_WP ? track.uffd.number : track.clear.number,
		track.pagemap.number,
	};
	for (int i = 0; i < 2; i++) {
		int null = open("/dev/null", O_RDWR);
		close(numbers[i]);
		if (is_reused)
			cr_assert_eq(dup2(null, numbers[i]), numbers[i]);
		close(null);
	}
	range[2 * PAGE] = 2;
	cr_assert_geq(collect(), 2);
	cr_assert(told[1] && told[2]);
	range[3 * PAGE] = 2;
	cr_assert_eq(collect(), 1);
	cr_assert(told[3]);
	if (is_held) { /* the last holder's end takes the registrations away a second time */
		int status;
		range[4 * PAGE] = 2;
		close(pipes[1]);
		cr_assert_eq(waitpid(child, &status, 0), child);
		range[5 * PAGE] = 2;
		cr_assert_geq(collect(), 2);
		cr_assert(told[4] && told[5]);
		range[6 * PAGE] = 2;
		cr_assert_eq(collect(), 1);
	}
	for (int i = 0; is_reused && i < 2; i++)
		cr_assert_eq(close(numbers[i]), 0, "a number that is not ours is left alone");
	close_range_tracked();
}

TestBoth(a_program_may_close_our_descriptors)
{
	check_lost_descriptors(false, false);
}

TestBoth(a_program_may_use_the_numbers_of_our_descriptors)
{
	check_lost_descriptors(true, false);
}

TestBoth(a_child_may_hold_descriptors_the_program_closed)
{
	check_lost_descriptors(false, true);
}

static void close_pagemap(void *context, char *start, size_t len)
{
	close(track.pagemap.number);
}

TestBoth(after_an_error_everything_counts_as_written)
{
	open_range(4 * TRACK_RUN_MAX);
	for (size_t page = 0; page < range_pages; page += 2)
		range[page * PAGE] = 1;
	cr_assert_eq(track_collect(&track, close_pagemap, NULL), -EBADF);
	cr_assert_eq(collect(), 2 * TRACK_RUN_MAX, "also what that call had visited");
	cr_assert_eq(collect(), 0);
	close_range_tracked();
}

static void refuse_first(void *context, char *start, size_t len)
{
	if (!*(bool *)context)
		track_again(&track, start + len - 1);
	*(bool *)context = true;
}

TestBoth(what_could_not_be_taken_is_told_again)
{
	bool is_refused = false;

	open_range(8);
	char *other = map(4);
	cr_assert_eq(track_add(&track, other, 4 * PAGE), 0);
	range[1 * PAGE] = range[3 * PAGE] = other[0] = 1;
	cr_assert_eq(track_collect(&track, refuse_first, &is_refused), 0);
	cr_assert_eq(collect(), 2, "all of its range, and no other");
	cr_assert(told[1] && told[3]);
	cr_assert_eq(collect(), 0);
	track_again(&track, other);
	cr_assert_eq(collect(), 1);
	cr_assert_eq(collect(), 0);
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

/* Threads store while pages are collected and copied; after one collect when they stand still,
 * the copy must be the memory. A thread may map parts anew meanwhile, in front of the others'. */
#define STORM_PAGES 512
#define STORM_FRONT 64
#define STORM_THREADS 2

static volatile bool storm_ends;
static char *storm_range;
static char storm_copy[STORM_PAGES * 4096];
static atomic_uint storm_steps;

static void *storm(void *seed)
{
	uint64_t state = (uintptr_t)seed;

	while (!storm_ends) {
		state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
		uint64_t *word = (uint64_t *)(void *)storm_range + (state >> 33) % (STORM_PAGES * 512);
		__atomic_store_n(word, state, __ATOMIC_RELAXED);
		storm_steps++;
	}
	return NULL;
}

static void *storm_map(void *unused)
{
	for (unsigned i = 0; !storm_ends; i++) {
		char *part = range + i % 7 * 8 * PAGE;
		mmap(part, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		     -1, 0);
		part[0] = 1;
		if (i % 2)
			track_renew(&track, part, 8 * PAGE);
	}
	return NULL;
}

static void storm_take(void *context, char *start, size_t len)
{
	if (start + len <= storm_range)
		return;
	size_t skipped = start < storm_range ? (size_t)(storm_range - start) : 0;
	memcpy(storm_copy + (start + skipped - storm_range), start + skipped, len - skipped);
}

static void run_storm(bool is_mapping)
{
	pthread_t threads[STORM_THREADS + 1];
	size_t count = STORM_THREADS;

	open_range(STORM_FRONT + STORM_PAGES);
	storm_range = range + STORM_FRONT * PAGE;
	for (size_t round = 0; round < 10; round++) {
		storm_ends = false;
		for (size_t i = 0; i < STORM_THREADS; i++)
			pthread_create(&threads[i], NULL, storm, (void *)(round * 8 + i));
		if (is_mapping)
			pthread_create(&threads[count++], NULL, storm_map, NULL);
		for (int i = 0; i < 30; i++) {
			unsigned before = storm_steps;
			cr_assert_eq(track_collect(&track, storm_take, NULL), 0);
			while (storm_steps - before < 300)
				sched_yield();
		}
		storm_ends = true;
		while (count)
			pthread_join(threads[--count], NULL);
		count = STORM_THREADS;
		cr_assert_eq(track_collect(&track, storm_take, NULL), 0);
		cr_assert_eq(memcmp(storm_range, storm_copy, sizeof(storm_copy)), 0,
			     "round %zu", round);
	}
	close_range_tracked();
}

Test(wp, no_store_is_lost_while_threads_run)
{
	run_storm(false);
}

Test(wp, no_store_is_lost_while_parts_are_mapped_anew)
{
	run_storm(true);
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
