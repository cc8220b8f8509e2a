/* What rots at rest is found while the pool is in use, and is right again where memory still has it;
 * what has not rotted is never complained of. */
#define PAGES 101u /* more than one step looks at */
#include "kept-pages.h"

#include <errno.h>
#include <string.h>

TestSuite(patrol, .init = scratch_open, .fini = scratch_close);

#define HOME(page) (LAYOUT_HEAD_BYTES + (uint64_t)(page) * PAGE)

static struct {
	unsigned count;
	uint64_t first, page;
} told;

static void found(uint32_t region_id, uint64_t page)
{
	cr_assert_eq(region_id, region.id);
	told.first = told.count++ ? told.first : page;
	told.page = page;
}

static void walk_round(void)
{
	int status;

	do
		status = checkpoint_patrol(engine, found);
	while (status == CHECKPOINT_MORE);
	cr_assert_eq(status, 0);
}

static struct checkpoint_info info_now(void)
{
	struct checkpoint_info info;

	checkpoint_info(engine, &info);
	return info;
}

/* Page 2 is at rest, full of 'a'; of page 0 the log tells. */
static void put_to_rest(void)
{
	told.count = 0;
	make_pool_on(&disk);
	open_engine(&disk.medium);
	memset(memory[2], 'a', PAGE);
	memset(memory[3], 'a', PAGE);
	for (char i = 1; i < 8; i++) {
		memory[0][0] = i;
		commit();
		cr_assert_eq(checkpoint_merge(engine), 0);
	}
	walk_round();
	cr_assert_eq(info_now().damaged_pages, 0);
	cr_assert_eq(disk.view[HOME(2) + 1000], 'a');
	cr_assert_neq(disk.view[HOME(0)], 7, "the log is ahead of it");
}

static void flip(uint64_t offset)
{
	disk.view[offset] ^= 1;
}

static void assert_home_mended(void)
{
	for (char i = 8; i < 16; i++) {
		memory[0][0] = i;
		commit();
		cr_assert_eq(checkpoint_merge(engine), 0);
	}
	cr_assert_arr_eq(disk.view + HOME(2), memory[2], PAGE);
	walk_round();
	cr_assert_eq(info_now().damaged_pages, 0);
}

Test(patrol, finds_a_page_at_rest_that_rots_and_says_where)
{
	put_to_rest();
	flip(HOME(2) + 1000);
	walk_round();
	struct checkpoint_info info = info_now();
	cr_assert_eq(info.damaged_pages, 1);
	cr_assert_eq(info.damage.file_offset, HOME(2));
	cr_assert_eq(info.damage_error, 0);
	cr_assert(info.damage.expected && info.damage.found && info.damage.expected != info.damage.found);
	cr_assert(told.count == 1 && told.page == 2);
	flip(HOME(2) + 1000); /* read wrong, once */
	walk_round();
	cr_assert_eq(info_now().damaged_pages, 0);
	checkpoint_close(engine);
}

/* All pages but one, and none of them zeros. */
static void put_all_to_rest(void)
{
	put_to_rest();
	for (unsigned i = 1; i < PAGES; i++)
		memset(memory[i], (int)i, PAGE);
	for (unsigned i = 0; i < 8; i++) {
		memory[0][0]++;
		commit();
		cr_assert_eq(checkpoint_merge(engine), 0);
	}
}

/* Steps, and more of them than it has room to remember: each is looked at, and counted, once. */
Test(patrol, a_round_looks_at_each_page_once)
{
	put_all_to_rest();
	for (unsigned i = 1; i < PAGES; i++)
		flip(HOME(i) + 5);
	for (unsigned i = 0; i < 2; i++) {
		walk_round();
		cr_assert_eq(info_now().damaged_pages, PAGES - 1);
	}
	for (unsigned i = 1; i < PAGES; i++)
		flip(HOME(i) + 5);
	walk_round();
	cr_assert_eq(info_now().damaged_pages, 0);
	checkpoint_close(engine);
}

/* Or programs that run for seconds would only ever see what comes first. */
Test(patrol, rounds_begin_anywhere, .timeout = 60)
{
	uint64_t first;

	memset(memory[50], 'a', PAGE);
	put_to_rest();
	flip(HOME(2) + 1000);
	flip(HOME(50) + 1000);
	walk_round();
	first = told.first;
	do {
		told.count = 0;
		walk_round();
	} while (told.first == first);
	checkpoint_close(engine);
}

Test(patrol, leaves_pages_alone_that_the_log_tells_of)
{
	put_to_rest();
	flip(HOME(0) + 64);
	walk_round();
	cr_assert_eq(info_now().damaged_pages, 0);
	checkpoint_close(engine);
}

Test(patrol, what_memory_still_has_is_logged_again_and_goes_home)
{
	put_to_rest();
	flip(HOME(2) + 1000);
	walk_round();
	cr_assert_eq(info_now().damaged_pages, 1);
	const uint64_t epoch = info_now().epoch;
	cr_assert_eq(commit(), epoch + 1, "nothing has changed in memory, but that it is needed");
	cr_assert_eq(info_now().damaged_pages, 0);
	assert_memory();
	assert_home_mended();
	checkpoint_close(engine);
}

/* Who shows home as it is has given it to the program. */
Test(patrol, what_was_shown_damaged_does_not_become_an_epoch)
{
	static char page[PAGE] __attribute__((aligned(64)));

	put_to_rest();
	flip(HOME(2) + 1000);
	walk_round();
	memory[2][1000] ^= 1;
	const uint64_t epoch = info_now().epoch;
	cr_assert_eq(commit(), epoch);
	cr_assert_eq(info_now().damaged_pages, 1);
	cr_assert_eq(checkpoint_page(engine, region.id, 2, page), CHECKPOINT_E_DAMAGED);
	memory[2][2000] = 'b'; /* it works with it: that is kept, and doubted */
	cr_assert_gt(commit(), epoch);
	cr_assert_eq(info_now().damaged_pages, 1);
	assert_memory();
	const uint64_t pages = info_now().pages;
	for (char i = 8; i < 16; i++) {
		memory[0][0] = i;
		commit();
		cr_assert_eq(checkpoint_merge(engine), 0);
	}
	cr_assert_eq(info_now().pages, pages + 8, "and logged once");
	cr_assert_eq(info_now().damaged_pages, 1);
	memory[2][2000] = 'a'; /* what was shown: by now its own */
	commit();
	assert_memory();
	walk_round();
	walk_round();
	cr_assert_eq(info_now().damaged_pages, 0);
	checkpoint_close(engine);
}

/* However many they are: of most there is no more than the number. */
Test(patrol, none_of_many_pages_shown_damaged_becomes_an_epoch)
{
	static char page[PAGE] __attribute__((aligned(64)));

	put_all_to_rest();
	for (unsigned i = 1; i < PAGES; i++) {
		flip(HOME(i) + 1000);
		memory[i][1000] ^= 1;
	}
	const uint64_t epoch = info_now().epoch;
	for (unsigned i = 0; i < 2; i++) {
		cr_assert_eq(commit(), epoch);
		walk_round();
	}
	for (unsigned i = 1; i < PAGES; i++)
		cr_assert_eq(checkpoint_page(engine, region.id, i, page), CHECKPOINT_E_DAMAGED);
	checkpoint_close(engine);
}

/* It is remembered in the place of one that keeps nobody from anything. */
Test(patrol, damage_met_by_a_merge_is_logged_again_however_much_there_is_at_rest)
{
	const struct checkpoint_page last = {region.id, PAGES - 1, memory[PAGES - 1]};
	const struct checkpoint_page other = {region.id, 0, memory[0]};
	uint64_t epoch;

	put_all_to_rest();
	for (unsigned i = 1; i < PAGES - 1; i++)
		flip(HOME(i) + 1000);
	walk_round();
	memory[PAGES - 1][5]++;
	cr_assert_eq(checkpoint_commit(engine, &last, 1, &epoch), 0);
	flip(HOME(PAGES - 1) + 1000);
	for (unsigned i = 0; i < 4; i++) {
		memory[0][0]++;
		cr_assert_eq(checkpoint_commit(engine, &other, 1, &epoch), 0);
	}
	for (unsigned i = 0; i < 5; i++)
		cr_assert_eq(checkpoint_merge(engine), CHECKPOINT_E_DAMAGED);
	told.count = 0;
	checkpoint_mend(engine, found);
	cr_assert(told.count == 1 && told.page == PAGES - 1);
	walk_round();
	cr_assert_leq(info_now().damaged_pages, PAGES, "%u", (unsigned)info_now().damaged_pages);
	checkpoint_close(engine);
}

/* No patrol looks at a page that the log tells of, and no merge can bring it home any more: the log
 * would grow, and the next start be refused, while memory has it. */
Test(patrol, damage_met_by_a_merge_is_told_and_logged_again)
{
	const struct checkpoint_page other = {region.id, 0, memory[0]};
	uint64_t epoch;

	put_to_rest();
	memory[2][5] = 'b';
	commit();
	flip(HOME(2) + 1000);
	for (char i = 8; i < 12; i++) {
		memory[0][0] = i;
		commit();
		cr_assert_eq(info_now().damaged_pages, 0);
	}
	cr_assert_eq(checkpoint_merge(engine), CHECKPOINT_E_DAMAGED);
	cr_assert_eq(info_now().damaged_pages, 1);
	cr_assert_eq(info_now().damage.file_offset, HOME(2));
	checkpoint_mend(engine, found);
	cr_assert(told.count == 1 && told.page == 2);
	memory[0][0] = 0;
	cr_assert_eq(checkpoint_commit(engine, &other, 1, &epoch), 0);
	cr_assert_eq(info_now().damaged_pages, 1, "not by an epoch that has not logged it");
	cr_assert_eq(commit(), epoch + 1, "nothing has changed in memory, but that it is needed");
	cr_assert_eq(info_now().damaged_pages, 0);
	assert_memory();
	for (char i = 12; i < 15; i++) {
		cr_assert_eq(checkpoint_merge(engine), CHECKPOINT_E_DAMAGED, "the epochs before");
		cr_assert_eq(info_now().damaged_pages, 0);
		memory[0][0] = i;
		commit();
	}
	cr_assert_eq(checkpoint_merge(engine), 0);
	assert_home_mended();
	checkpoint_close(engine);
}

Test(patrol, damage_met_while_home_is_held_is_told_and_logged_again)
{
	unsigned met = 0;

	put_to_rest();
	checkpoint_hold(engine, CHECKPOINT_STILL);
	memory[2][5] = 'b';
	commit();
	flip(HOME(2) + 1000);
	for (unsigned i = 0; i < 1000 && info_now().carried_rounds < 2; i++) {
		memory[0][0]++;
		commit();
		cr_assert_eq(info_now().damaged_pages, 0);
		int status;
		while ((status = checkpoint_tend(engine)) == CHECKPOINT_MORE)
			;
		met += status == CHECKPOINT_E_DAMAGED;
		cr_assert_eq(info_now().damaged_pages, status == CHECKPOINT_E_DAMAGED);
		checkpoint_mend(engine, found);
	}
	cr_assert_eq(info_now().carried_rounds, 2);
	cr_assert(met == 1 && told.count == 1 && told.page == 2);
	assert_memory();
	checkpoint_close(engine);
}

Test(patrol, damage_met_by_an_epoch_is_known_as_well)
{
	put_to_rest();
	flip(HOME(2) + 1000);
	memory[2][5] = 'b';
	commit();
	cr_assert_eq(info_now().damaged_pages, 1);
	cr_assert_eq(info_now().damage.file_offset, HOME(2));
	assert_memory();
	checkpoint_close(engine);
}

Test(patrol, bytes_where_zeros_should_be_are_found_and_not_kept)
{
	put_to_rest();
	flip(HOME(9) + 7);
	disk.touched[HOME(9) / PAGE] = 1;
	walk_round();
	cr_assert_eq(info_now().damaged_pages, 1);
	cr_assert_eq(info_now().damage.file_offset, HOME(9));
	cr_assert_eq(info_now().damage.expected, 0);
	cr_assert_eq(told.count, 0);
	checkpoint_close(engine);
}

static uint64_t unreadable;

static int fetch_or_fail(struct medium *medium, void *buffer, size_t len, uint64_t offset)
{
	if (unreadable - offset < len)
		return -EIO;
	return medium->table->read(medium, buffer, len, offset);
}

Test(patrol, one_page_that_cannot_be_read_is_that_one)
{
	struct medium_table table;

	put_to_rest();
	table = *disk.medium.table;
	table.fetch = fetch_or_fail;
	disk.medium.table = &table;
	unreadable = HOME(3);
	walk_round();
	cr_assert_eq(info_now().damaged_pages, 1);
	cr_assert_eq(info_now().damage_error, -EIO);
	cr_assert_eq(info_now().damage.file_offset, HOME(3));
	cr_assert(told.count == 1 && told.page == 3);
	commit();
	cr_assert_eq(info_now().damaged_pages, 0);
	checkpoint_close(engine);
}

/* While commits, merges in steps, pages written home ahead, and rounds in pieces pass each other. */
Test(patrol, never_calls_damaged_what_is_not, .timeout = 60)
{
	struct checkpoint_plan busy = plan;
	uint64_t random = 11;

	make_pool_on(&disk);
	for (unsigned life = 0; life < 20; life++) {
		busy.step_pages = 1 + life % 3;
		busy.bulk_pages = 1 + life % 5;
		cr_assert_eq(checkpoint_open(&engine, &disk.medium, &busy, &why), 0, "%s", why.line);
		cr_assert_eq(checkpoint_attach(engine), 0);
		for (unsigned i = 0; i < 300; i++) {
			char *page = memory[random_below(&random, PAGES)];
			memset(page, (int)random_below(&random, 3), PAGE);
			page[random_below(&random, PAGE)] = (char)i;
			commit();
			checkpoint_tend(engine);
			checkpoint_patrol(engine, found);
			cr_assert_eq(info_now().damaged_pages, 0);
		}
		cr_assert_gt(info_now().home_pages, 0);
		checkpoint_close(engine);
	}
	open_engine(&disk.medium);
	for (unsigned i = 0; i < PAGES; i++) /* that it looks */
		flip(HOME(i) + 5);
	walk_round();
	cr_assert_gt(info_now().damaged_pages, 0);
	checkpoint_close(engine);
}
