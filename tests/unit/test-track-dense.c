/* Where all pages are there the kernel is asked less; what is told is the same. */
#include "tracked.h"

TestSuite(dense, .timeout = 100);

#define PAGES ((size_t)8192)
#define HOLE ((size_t)5000) /* not there, in the midst: two stretches */

/* All there but one, and surveyed. */
static void open_dense(void)
{
	kind = TRACK_WP;
	open_range(PAGES);
	track.lasting = range;
	for (size_t page = 0; page < PAGES; page++)
		if (page != HOLE)
			range[page * PAGE] = 1;
	cr_assert_eq(collect(), PAGES - 1);
	track_survey(&track);
	cr_assert_eq(track.dense.count, 2);
	cr_assert_eq(collect(), 0);
}

Test(dense, stores_are_told_in_it_and_beside_it)
{
	open_dense();
	for (int round = 0; round < 3; round++) {
		static const size_t pages[] = {0, 1, 2047, 4999, HOLE, 5001, 8191};
		for (size_t i = 0; i < 7; i++)
			range[pages[i] * PAGE] = 2;
		cr_assert_eq(collect(), 7);
		for (size_t i = 0; i < 7; i++)
			cr_assert(told[pages[i]], "page %zu", pages[i]);
		cr_assert_eq(collect(), 0);
	}
}

Test(dense, what_is_given_back_is_told_once_and_after_a_store)
{
	open_dense();
	cr_assert_eq(madvise(range + 100 * PAGE, 10 * PAGE, MADV_DONTNEED), 0);
	collect();
	cr_assert_eq(collect(), 0);
	range[105 * PAGE] = 1;
	cr_assert_eq(collect(), 1);
	cr_assert(told[105]);
	cr_assert_eq(range[104 * PAGE], 0);
}

Test(dense, a_mapping_in_its_place_is_followed)
{
	open_dense();
	cr_assert_eq(mmap(range + 200 * PAGE, 50 * PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), range + 200 * PAGE);
	range[220 * PAGE] = 7;
	collect();
	cr_assert(told[220]);
	cr_assert_eq(collect(), 0);
	range[220 * PAGE] = 8;
	range[7000 * PAGE] = 8;
	cr_assert_eq(collect(), 2);
}

Test(dense, another_range_is_not_surveyed)
{
	open_dense();
	char *other = map(PAGES);
	memset(other, 1, PAGES * PAGE);
	cr_assert_eq(track_add(&track, other, PAGES * PAGE), 0);
	cr_assert_eq(collect(), PAGES);
	for (int i = 0; i < 100; i++)
		track_survey(&track);
	cr_assert_eq(track.dense.count, 2);
	cr_assert_eq(madvise(other, 10 * PAGE, MADV_DONTNEED), 0);
	cr_assert_eq(collect(), 0, "what is not there is not told");
}

Test(dense, it_is_not_cut_with_what_lies_around_it)
{
	open_dense();
	cr_assert_eq(track_cut(&track, range - 10 * PAGE, (PAGES + 20) * PAGE), 0);
	range[30 * PAGE] = 1;
	cr_assert_eq(collect(), 1);
	cr_assert(told[30]);
}
