/* What is excluded is zeros in a copy, byte for byte, and nothing else is. */
#include <criterion/criterion.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "checkpoint/exclude.h"

static char memory[16384] __attribute__((aligned(4096)));
static char copy[4096];

static void take_page(unsigned page)
{
	memcpy(copy, memory + page * 4096u, 4096);
	exclude_apply(memory + page * 4096u, copy, 4096);
}

static void assert_zeros_are(unsigned from, unsigned to)
{
	for (unsigned i = 0; i < 4096; i++)
		cr_assert_eq(copy[i] == 0, i >= from && i < to, "byte %u is %d", i, copy[i]);
}

static void fill(void)
{
	memset(memory, 'x', sizeof(memory));
}

TestSuite(exclude, .init = fill);

Test(exclude, is_byte_exact_over_page_borders)
{
	cr_assert_eq(exclude_set(memory + 4093, 4096 + 10), 0);
	take_page(0);
	assert_zeros_are(4093, 4096);
	take_page(1);
	assert_zeros_are(0, 4096);
	take_page(2);
	assert_zeros_are(0, 7);
	take_page(3);
	assert_zeros_are(0, 0);
}

Test(exclude, leaves_the_memory_itself_alone)
{
	cr_assert_eq(exclude_set(memory + 1, 8000), 0);
	for (unsigned i = 0; i < sizeof(memory); i++)
		cr_assert_eq(memory[i], 'x');
}

Test(exclude, ends_with_length_0_and_only_where_one_begins)
{
	cr_assert_eq(exclude_set(memory + 100, 50), 0);
	cr_assert_eq(exclude_set(memory + 101, 0), -ENOENT);
	cr_assert_eq(exclude_set(memory + 100, 0), 0);
	cr_assert_eq(exclude_set(memory + 100, 0), -ENOENT);
	take_page(0);
	assert_zeros_are(0, 0);
}

Test(exclude, is_made_longer_and_shorter_at_its_start)
{
	cr_assert_eq(exclude_set(memory + 100, 50), 0);
	cr_assert_eq(exclude_set(memory + 100, 500), 0);
	take_page(0);
	assert_zeros_are(100, 600);
	cr_assert_eq(exclude_set(memory + 100, 5), 0);
	take_page(0);
	assert_zeros_are(100, 105);
}

Test(exclude, refuses_what_overlaps_and_keeps_what_was_there)
{
	cr_assert_eq(exclude_set(memory + 100, 50), 0);
	cr_assert_eq(exclude_set(memory + 200, 50), 0);
	cr_assert_eq(exclude_set(memory + 149, 10), -EEXIST);
	cr_assert_eq(exclude_set(memory + 50, 51), -EEXIST);
	cr_assert_eq(exclude_set(memory + 100, 101), -EEXIST);
	cr_assert_eq(exclude_set(memory + 150, 50), 0);
	take_page(0);
	assert_zeros_are(100, 250);
}

Test(exclude, has_room_for_its_maximum_in_any_order)
{
	for (unsigned i = 0; i < EXCLUDE_MAX; i++)
		cr_assert_eq(exclude_set(memory + (i * 7 % EXCLUDE_MAX) * 4, 2), 0);
	cr_assert_eq(exclude_set(memory + 8192, 2), -ENOSPC);
	take_page(0);
	for (unsigned i = 0; i < 4096; i++)
		cr_assert_eq(copy[i] == 0, i % 4 < 2);
}

/* One thread moves the exclusion between two places; a copy shows it at one of them, whole. */
static _Atomic bool is_over;

static void *move(void *unused)
{
	while (!is_over) {
		exclude_set(memory + 64, 64);
		exclude_set(memory + 64, 32);
	}
	return unused;
}

Test(exclude, is_never_seen_half_changed)
{
	pthread_t mover;

	cr_assert_eq(exclude_set(memory + 64, 32), 0);
	cr_assert_eq(pthread_create(&mover, NULL, move, NULL), 0);
	for (unsigned i = 0; i < 200000; i++) {
		memset(copy, 'x', 256);
		exclude_apply(memory, copy, 256);
		cr_assert_eq(copy[64], 0);
		cr_assert_eq(copy[95], 0);
		cr_assert_eq(copy[96], copy[127]);
	}
	is_over = true;
	pthread_join(mover, NULL);
}
