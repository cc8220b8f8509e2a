/* What the log holds, looked up: an index of keys, and the annals of every page's versions, forgotten
 * from both ends. */
#include "scratch.h"

#include "../crash/disk.h"
#include "checkpoint/annals.h"

TestSuite(index);
TestSuite(annals);

Test(index, finds_what_was_put_and_not_removed)
{
	enum { KEYS = 3000 };
	static uint64_t model[KEYS];
	struct index index = {0};
	uint64_t random = 5;

	for (unsigned round = 0; round < 200000; round++) {
		const uint64_t key = 1 + random_below(&random, KEYS - 1);
		if (random_below(&random, 2)) {
			model[key] = 1 + random_below(&random, 1000);
			cr_assert_eq(index_put(&index, key, model[key]), 0);
		} else {
			model[key] = 0;
			index_remove(&index, key);
		}
		const uint64_t other = 1 + random_below(&random, KEYS - 1);
		const struct index_entry *found = index_find(&index, other);
		cr_assert_eq(found ? found->value : 0, model[other]);
	}
	index_deinit(&index);
}

static void push(struct annals *annals, uint64_t key, uint64_t mask)
{
	cr_assert_eq(annals_push(annals, &(struct annals_entry){.key = key, .mask = mask}), 0);
}

static uint64_t mask_at(const struct annals *annals, uint64_t key, uint64_t seq)
{
	const uint64_t number = annals_find(annals, key, seq);

	return number == ANNALS_NONE ? 0 : annals_at(annals, number)->mask;
}

Test(annals, finds_a_page_at_any_epoch_and_forgets_from_both_ends)
{
	struct annals annals = {0};

	for (uint64_t seq = 1; seq <= 5000; seq++) {
		push(&annals, 1, seq);
		push(&annals, 100 + seq, seq);
		annals_settle(&annals, seq, 0);
		annals_commit(&annals);
	}
	cr_assert_eq(mask_at(&annals, 1, 4711), 4711);
	push(&annals, 1, 9999);
	push(&annals, 7, 1);
	cr_assert_eq(mask_at(&annals, 1, ANNALS_NEWEST), 9999);
	cr_assert_eq(mask_at(&annals, 1, 5001), 5000, "not in the log yet");
	annals_rollback(&annals);
	cr_assert_eq(mask_at(&annals, 1, ANNALS_NEWEST), 5000);
	cr_assert_eq(mask_at(&annals, 7, ANNALS_NEWEST), 0);
	annals_trim(&annals, 4000);
	cr_assert_eq(mask_at(&annals, 1, 4000), 0);
	cr_assert_eq(mask_at(&annals, 1, 4001), 4001);
	cr_assert_eq(mask_at(&annals, 4100, ANNALS_NEWEST), 0);
	cr_assert_eq(annals.pages.count, 1001);
	annals_truncate(&annals, 4500);
	cr_assert_eq(mask_at(&annals, 1, ANNALS_NEWEST), 4500);
	cr_assert_eq(annals.pages.count, 501);
	annals_deinit(&annals);
}

Test(annals, knows_the_sums_of_the_newest_entry_only)
{
	struct annals annals = {0};
	uint64_t lines[LAYOUT_LINES] = {1, 2, 3};

	push(&annals, 1, 1);
	cr_assert_null(annals_sums(&annals, 0));
	cr_assert_eq(annals_keep_sums(&annals, 0, lines), 0);
	annals_commit(&annals);
	cr_assert_eq(annals_sums(&annals, 0)[2], 3);
	push(&annals, 1, 2);
	lines[2] = 4;
	cr_assert_eq(annals_keep_sums(&annals, 1, lines), 0);
	cr_assert_eq(annals_sums(&annals, 1)[2], 4);
	cr_assert_null(annals_sums(&annals, 0));
	annals_rollback(&annals);
	cr_assert_null(annals_sums(&annals, 0), "they were overwritten");
	annals_deinit(&annals);
}
