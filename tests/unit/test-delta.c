/* Delta: the lines in which two versions of a page differ, packed, and put over the old one. */
#include "scratch.h"

#include "../crash/disk.h"
#include "checkpoint/delta.h"
#include "checkpoint/sum.h"
#include "layout.h"

#define PAGE 4096u

TestSuite(delta);

static char page_a[PAGE] __attribute__((aligned(64))), page_b[PAGE] __attribute__((aligned(64)));

static uint64_t lines_a[LAYOUT_LINES], lines_b[LAYOUT_LINES];

static uint64_t mask_of_pages(void)
{
	sum_lines(page_a, 7, lines_a);
	sum_lines(page_b, 7, lines_b);
	return delta_mask(lines_a, lines_b);
}

Test(delta, names_exactly_the_lines_that_differ)
{
	cr_assert_eq(mask_of_pages(), 0);
	page_a[0] = 1;
	page_a[64 * 7 + 63] = 1;
	page_a[PAGE - 1] = 1;
	cr_assert_eq(mask_of_pages(), UINT64_C(1) | UINT64_C(1) << 7 | UINT64_C(1) << 63);
}

Test(delta, packed_lines_over_the_old_page_are_the_new_page)
{
	static char lines[PAGE];
	uint64_t random = 3;

	for (unsigned round = 0; round < 200; round++) {
		memcpy(page_b, page_a, PAGE);
		for (unsigned i = random_below(&random, 80); i; i--)
			page_a[random_below(&random, PAGE)] ^= (char)random_next(&random);
		uint64_t mask = mask_of_pages();
		delta_pack(lines, page_a, mask);
		delta_apply(page_b, mask, UINT64_MAX, lines);
		cr_assert_arr_eq(page_a, page_b, PAGE);
	}
}

Test(delta, only_the_lines_wanted_are_taken_out_of_those_packed)
{
	static char lines[PAGE];

	memset(page_a, 'a', PAGE);
	delta_pack(lines, page_a, 0x7);
	lines[64] = 'b';
	delta_apply(page_b, 0x7, 0x6, lines);
	cr_assert_eq(page_b[0], 0);
	cr_assert_eq(page_b[64], 'b');
	cr_assert_eq(page_b[128], 'a');
	cr_assert_eq(page_b[192], 0);
}

Test(delta, the_same_lines_elsewhere_or_in_another_pool_have_another_sum)
{
	static uint64_t other[LAYOUT_LINES];

	memset(page_a, 1, 64);
	memset(page_b + 64, 1, 64);
	mask_of_pages();
	cr_assert_eq(lines_a[0], lines_b[1]);
	cr_assert_neq(sum_page(page_a, lines_a), sum_page(page_b, lines_b));
	sum_lines(page_a, 8, other);
	cr_assert_neq(sum_page(page_a, lines_a), sum_page(page_a, other));
}
