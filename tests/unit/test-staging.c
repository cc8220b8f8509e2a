/* Staging: each page once, as it was put last, however many came and went before. */
#include "checkpoint/staging.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE ((size_t)4096)
#define MIB ((size_t)1 << 20)

static struct staging staging;
static char source[4096] __attribute__((aligned(4096)));
static const char zeros[4096];

static const struct checkpoint_page *find(uint32_t region, uint64_t index)
{
	size_t count;
	const struct checkpoint_page *pages = staging_pages(&staging, &count), *found = NULL;

	for (size_t i = 0; i < count; i++)
		if (pages[i].region == region && pages[i].index == index) {
			cr_assert_null(found, "a page is there twice");
			found = &pages[i];
		}
	return found;
}

static size_t count_pages(void)
{
	size_t count;

	staging_pages(&staging, &count);
	return count;
}

static int put(uint32_t region, uint64_t index, int value)
{
	memset(source, value, PAGE);
	return staging_put(&staging, region, index, source);
}

static bool holds(uint32_t region, uint64_t index, int value)
{
	const struct checkpoint_page *page = find(region, index);

	memset(source, value, PAGE);
	return page && page->bytes && memcmp(page->bytes, source, PAGE) == 0;
}

Test(staging, a_page_is_there_once_as_it_was_put_last)
{
	staging_open(&staging, MIB);
	cr_assert_eq(count_pages(), 0);
	cr_assert_eq(put(1, 7, 1), 0);
	cr_assert_eq(put(2, 7, 2), 0);
	cr_assert_eq(put(1, 8, 3), 0);
	cr_assert_eq(put(1, 7, 4), 0);
	cr_assert_eq(count_pages(), 3);
	cr_assert(holds(1, 7, 4) && holds(2, 7, 2) && holds(1, 8, 3));
	staging_clear(&staging);
	cr_assert_eq(count_pages(), 0);
	cr_assert_eq(staging_bytes(&staging), 0);
	cr_assert_eq(put(1, 7, 5), 0);
	cr_assert_eq(count_pages(), 1);
	cr_assert(holds(1, 7, 5));
	staging_close(&staging);
}

Test(staging, zeros_take_no_copy)
{
	staging_open(&staging, MIB);
	cr_assert_eq(put(1, 1, 0), 0);
	cr_assert_eq(staging_put(&staging, 1, 2, NULL), 0);
	cr_assert_eq(count_pages(), 2);
	cr_assert_null(find(1, 1)->bytes);
	cr_assert_null(find(1, 2)->bytes);
	const size_t without = staging_bytes(&staging);
	cr_assert_lt(without, 2 * 64);
	/* Zeros become something, and something zeros, and nobody else's copy suffers. */
	cr_assert_eq(put(1, 3, 3), 0);
	cr_assert_eq(put(1, 1, 1), 0);
	cr_assert_eq(put(1, 3, 0), 0);
	cr_assert_eq(put(1, 4, 4), 0);
	cr_assert_eq(put(1, 5, 0), 0);
	cr_assert_eq(put(1, 6, 6), 0);
	cr_assert_null(find(1, 3)->bytes);
	cr_assert(holds(1, 1, 1) && holds(1, 4, 4) && holds(1, 6, 6));
	cr_assert_eq(staging_put(&staging, 1, 1, NULL), 0);
	cr_assert_eq(staging_put(&staging, 1, 4, zeros), 0);
	cr_assert(holds(1, 6, 6));
	cr_assert_eq(staging_bytes(&staging), 3 * without + PAGE, "six pages, one copy");
	staging_close(&staging);
}

Test(staging, a_page_of_zeros_is_staged_and_stays_so_when_there_is_no_room_for_more)
{
	staging_open(&staging, MIB);
	cr_assert_not(staging_has(&staging, 1, 7));
	cr_assert_eq(put(1, 7, 0), 0);
	cr_assert(staging_has(&staging, 1, 7));
	cr_assert_not(staging_has(&staging, 2, 7));
	for (uint64_t i = 8; put(1, i, 1) == 0; i++)
		;
	cr_assert_eq(put(1, 7, 7), -ENOSPC, "its copy would need a slot");
	cr_assert(staging_has(&staging, 1, 7));
	cr_assert_null(find(1, 7)->bytes);
	staging_clear(&staging);
	cr_assert_not(staging_has(&staging, 1, 7));
	staging_close(&staging);
}

Test(staging, a_slot_given_back_is_the_next_one_taken)
{
	staging_open(&staging, MIB);
	for (int i = 0; i < 1000; i++) {
		cr_assert_eq(put(1, 1, 1), 0);
		cr_assert_eq(put(1, 2, 2), 0);
		cr_assert_eq(put(1, (uint64_t)i % 2 + 1, 0), 0);
	}
	cr_assert_eq(staging.slot_used, 2);
	staging_close(&staging);
}

static void count_given_up(void *context, uint32_t region, uint64_t index)
{
	cr_assert_eq(region, 1);
	*(uint64_t *)context += index;
}

Test(staging, a_page_pointed_at_is_read_where_it_is_until_given_up)
{
	uint64_t given_up = 0;
	char there[4096];

	staging_open(&staging, MIB);
	for (uint64_t i = 1; i <= 300; i++)
		if (put(1, i, 1) != 0)
			cr_assert_eq(staging_point(&staging, 1, i, there), 0);
	cr_assert_eq(count_pages(), 300);
	cr_assert_eq(find(1, 300)->bytes, there);
	cr_assert_eq(staging_point(&staging, 1, 7, there), 0, "which had a copy");
	cr_assert_eq(put(1, 7, 9), 0);
	cr_assert_eq(find(1, 7)->bytes, there, "nobody stores to it: the copy would be the same");
	cr_assert_eq(put(1, 8, 8), 0);
	const size_t pointed = staging.pointed_count;
	staging_unpoint(&staging, count_given_up, &given_up);
	cr_assert_eq(count_pages(), 300 - pointed);
	cr_assert_geq(given_up, 300 + 7);
	cr_assert_null(find(1, 300));
	cr_assert_null(find(1, 7));
	cr_assert(holds(1, 8, 8) && holds(1, 1, 1) && holds(1, 200, 1));
	cr_assert_eq(put(1, 7, 7), 0);
	cr_assert(holds(1, 7, 7));
	staging_close(&staging);
}

Test(staging, one_bit_anywhere_is_not_zero)
{
	staging_open(&staging, 64 * MIB);
	for (size_t bit = 0; bit < 8 * PAGE; bit++) {
		memset(source, 0, PAGE);
		source[bit / 8] = (char)(1 << bit % 8);
		cr_assert_eq(staging_put(&staging, 1, 1, source), 0);
		cr_assert(find(1, 1)->bytes && memcmp(find(1, 1)->bytes, source, PAGE) == 0);
	}
	staging_close(&staging);
}

Test(staging, beyond_the_limit_all_stays_as_it_was)
{
	staging_open(&staging, MIB);
	uint64_t count = 0;
	while (put(1, count, (int)(count % 255) + 1) == 0)
		count++;
	cr_assert(count > 240 && count <= 256, "%zu pages of 256 fit", (size_t)count);
	cr_assert_eq(put(1, count, 1), -ENOSPC);
	cr_assert_leq(staging_bytes(&staging), MIB);
	cr_assert_eq(count_pages(), count);
	for (uint64_t i = 0; i < count; i++)
		cr_assert(holds(1, i, (int)(i % 255) + 1));
	cr_assert_eq(put(1, 5, 77), 0, "a page that is staged is always replaced");
	cr_assert_eq(put(1, 6, 0), 0);
	cr_assert_eq(put(1, count, 88), 0, "which makes room");
	cr_assert_eq(put(1, 6, 1), -ENOSPC);
	cr_assert_null(find(1, 6)->bytes);
	cr_assert(holds(1, 5, 77) && holds(1, count, 88));
	staging.limit_bytes = 2 * MIB;
	cr_assert_eq(put(1, 6, 1), 0);
	staging_clear(&staging);
	staging.limit_bytes = MIB;
	cr_assert_eq(put(1, 0, 1), 0);
	staging_close(&staging);
}

/* Zeros are not free without end: their entries count. */
Test(staging, zeros_have_a_limit_too)
{
	staging_open(&staging, MIB);
	uint64_t count = 0;
	while (staging_put(&staging, 1, count, NULL) == 0)
		count++;
	cr_assert(count > 10000 && count < MIB / 24);
	staging_close(&staging);
}

/* Failed commits leave everything staged; only a clear ends an epoch. Against a plain array. */
Test(staging, a_long_life_against_an_oracle)
{
	enum { REGIONS = 3, PAGES = 3000 };
	static int expected[REGIONS][PAGES]; /* -1: not staged */
	uint64_t state = 12345;

	staging_open(&staging, 256 * MIB);
	memset(expected, -1, sizeof(expected));
	for (int epoch = 0; epoch < 60; epoch++) {
		const unsigned puts = epoch % 10 == 0 ? 20000 : 300;
		for (unsigned i = 0; i < puts; i++) {
			state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
			const uint32_t region = (uint32_t)(state >> 40) % REGIONS;
			const uint32_t index = (uint32_t)(state >> 42) % PAGES;
			const int value = (int)(state >> 56) < 64 ? 0 : (int)(state >> 56);
			cr_assert_eq(put(region + 1, index, value), 0);
			expected[region][index] = value;
		}
		size_t count, expected_count = 0;
		const struct checkpoint_page *pages = staging_pages(&staging, &count);
		for (size_t i = 0; i < count; i++) {
			const int value = expected[pages[i].region - 1][pages[i].index];
			memset(source, value, PAGE);
			if (value == 0)
				cr_assert_null(pages[i].bytes);
			else
				cr_assert_eq(memcmp(pages[i].bytes, source, PAGE), 0);
		}
		for (size_t i = 0; i < (size_t)REGIONS * PAGES; i++)
			expected_count += expected[i / PAGES][i % PAGES] >= 0;
		cr_assert_eq(count, expected_count);
		if (epoch % 3 == 0)
			continue; /* the commit failed */
		staging_clear(&staging);
		memset(expected, -1, sizeof(expected));
	}
	staging_close(&staging);
}

static size_t resident_pages(void)
{
	size_t size, resident;
	FILE *file = fopen("/proc/self/statm", "r");

	cr_assert_eq(fscanf(file, "%zu %zu", &size, &resident), 2);
	fclose(file);
	return resident;
}

Test(staging, memory_of_a_burst_goes_back)
{
	const size_t before = resident_pages();

	staging_open(&staging, 256 * MIB);
	for (uint64_t i = 0; i < 64 * MIB / PAGE; i++)
		cr_assert_eq(put(1, i, 1), 0);
	cr_assert_gt(resident_pages(), before + 64 * MIB / PAGE - 100);
	for (int epoch = 0; epoch < 60; epoch++) {
		staging_clear(&staging);
		cr_assert_eq(put(1, (uint64_t)epoch, 1), 0);
	}
	cr_assert_lt(resident_pages(), before + 2 * MIB / PAGE);
	staging_close(&staging);
}
