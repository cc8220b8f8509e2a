/* Tracking goes on whatever takes its means away: children that share them, a program that closes
 * descriptors or uses their numbers, a call that fails, a caller who could not take what was told. */
#include "tracked.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>

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

/* The kernel makes one mapping of the two, which then is followed no more; but its pages look as if
 * they were. */
Test(wp, a_mapping_that_is_moved_beside_one_takes_no_store_from_it)
{
	kind = TRACK_WP;
	char *place = map(64);
	char *other = place + 32 * PAGE;
	cr_assert_eq(munmap(place + 8 * PAGE, 24 * PAGE), 0);
	cr_assert_eq(munmap(place + 36 * PAGE, 28 * PAGE), 0);
	track_open(&track, kind);
	range = place;
	range_pages = 8;
	cr_assert_eq(track_add(&track, range, 8 * PAGE), 0);
	cr_assert_eq(track_add(&track, other, 4 * PAGE), 0);
	memset(range, 1, 8 * PAGE);
	collect();
	cr_assert_eq(collect(), 0);
	cr_assert_eq(mremap(other, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, range + 8 * PAGE),
		     range + 8 * PAGE);
	track_cut(&track, other, 4 * PAGE);
	range[3 * PAGE] = 2;
	collect();
	cr_assert(told[3]);
	range[5 * PAGE] = 2;
	collect();
	cr_assert(told[5]);
	close_range_tracked();
}
