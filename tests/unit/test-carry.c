/* Home is held still, because forked children see it: the log is carried forward in itself, and is
 * as long as what has changed, not as the time it was held. */
#define PAGES 100u
#include "kept-pages.h"

#include "checkpoint/engine.h"

TestSuite(carry, .init = scratch_open, .fini = scratch_close);

#define EPOCHS 10000u
#define HOME_BYTES (PAGES * PAGE)
#define ALL_BYTES (PAGES * (PAGE + 24u)) /* of the log, if every line of every page is in it */
#define LOG_BOUND (4u * ALL_BYTES)       /* twice that, once more while it is carried, and what is
					  * committed until then, in whole blocks and segments */
#define ENTRY_BOUND (4u * LOG_BOUND / PAGE) /* of each epoch, and what was carried */

static uint64_t random_state = 11;

/* In small segments much is left at the end. */
static const struct checkpoint_plan wide = {
	.regions = &region, .region_count = 1, .segment_bytes = 65536, .log_bytes = 4 * 65536,
	.bulk_pages = 8,
};

static void open_wide(uint64_t epoch)
{
	cr_assert_eq(checkpoint_open(&engine, &disk.medium, &wide, &why), 0, "%s", why.line);
	cr_assert_eq(checkpoint_select(engine, epoch), 0);
	cr_assert_eq(checkpoint_attach(engine), 0);
}

/* No page is zeros, all of them are in the log, and home is held. */
static void hold_full_memory(void)
{
	make_pool_on(&disk);
	memset(memory, 1, sizeof(memory));
	open_wide(CHECKPOINT_NEWEST);
	checkpoint_hold(engine, CHECKPOINT_STILL);
	commit();
}

/* A few stores, sometimes a whole page, or zeros; and what a reader finds then. */
static void store_and_commit(void)
{
	struct checkpoint_page told[3];
	uint64_t epoch;

	for (unsigned i = 0; i < 3; i++) {
		const unsigned page = random_below(&random_state, PAGES / 3) * 3 + i;
		const unsigned dice = random_below(&random_state, 40);
		if (dice < 2)
			memset(memory[page], dice ? (int)random_below(&random_state, 256) : 0, PAGE);
		else
			memory[page][random_below(&random_state, PAGE)] = (char)random_next(&random_state);
		told[i] = (struct checkpoint_page){region.id, page, memory[page]};
	}
	cr_assert_eq(checkpoint_commit(engine, told, 3, &epoch), 0);
}

static void tend(void)
{
	int more;

	while ((more = checkpoint_tend(engine)) == CHECKPOINT_MORE)
		;
	cr_assert_eq(more, 0);
}

static void assert_recovered(void)
{
	struct checkpoint *const writer = engine;

	cr_assert_eq(checkpoint_open(&engine, &disk.medium, &plan, &why), 0, "%s", why.line);
	assert_memory();
	checkpoint_close(engine);
	engine = writer;
}

static struct checkpoint_info info_now(void)
{
	struct checkpoint_info info;

	checkpoint_info(engine, &info);
	return info;
}

/* Pages that were written to home ahead of their epoch, pages that only the log has, and some that
 * were merged, for ten thousand epochs: 40 MB of records. */
Test(carry, log_is_bounded_by_what_has_changed_and_home_does_not)
{
	static char home[HOME_BYTES];
	uint64_t longest = 0, most = 0;

	make_pool_on(&disk);
	open_wide(CHECKPOINT_NEWEST);
	for (unsigned i = 0; i < PAGES / 2; i++)
		memset(memory[i], (int)i, PAGE);
	commit();
	for (unsigned i = 0; i < 6; i++)
		store_and_commit();
	cr_assert_eq(checkpoint_merge(engine), 0);
	for (unsigned i = PAGES / 2; i < PAGES; i++)
		memset(memory[i], (int)i, PAGE);
	commit();
	checkpoint_hold(engine, CHECKPOINT_STILL);
	memcpy(home, disk.view + LAYOUT_HEAD_BYTES, HOME_BYTES);
	for (unsigned i = 0; i < EPOCHS; i++) {
		store_and_commit();
		tend();
		const uint64_t log_bytes = info_now().log_bytes;
		longest = longest > log_bytes ? longest : log_bytes;
		cr_assert_leq(log_bytes, LOG_BOUND, "epoch %u", i);
		cr_assert_leq(engine->annals.linesums.used, PAGES);
		const uint64_t entries = engine->annals.end - engine->annals.first;
		most = most > entries ? most : entries;
		cr_assert_leq(entries, ENTRY_BOUND, "epoch %u: %u", i, (unsigned)entries);
		cr_assert_leq(engine->log.epoch_count, LOG_BOUND / PAGE, "each takes a block");
		cr_assert(memcmp(home, disk.view + LAYOUT_HEAD_BYTES, HOME_BYTES) == 0);
		assert_recovered();
	}
	cr_log_info("longest %llu, most %llu, %llu rounds, %llu pages", (unsigned long long)longest,
		    (unsigned long long)most,
		    (unsigned long long)info_now().carried_rounds,
		    (unsigned long long)info_now().carried_pages);
	cr_assert_gt(info_now().carried_rounds, 10);
	cr_assert_lt(info_now().carried_pages, 3 * EPOCHS, "when it is worth it, and not before");
	cr_assert_gt(info_now().record_bytes, 4 * LOG_BOUND);
	checkpoint_close(engine);
}

static uint64_t hash_now(void)
{
	return sum_bytes(memory, sizeof(memory), 0);
}

static void load(uint64_t epoch)
{
	cr_assert_eq(checkpoint_select(engine, epoch), 0);
	for (unsigned i = 0; i < PAGES; i++)
		cr_assert_eq(checkpoint_page(engine, region.id, i, memory[i]), 0);
}

static void hold_for(uint64_t rounds, uint64_t *hashes_of)
{
	checkpoint_hold(engine, CHECKPOINT_STILL);
	while (info_now().carried_rounds < rounds) {
		store_and_commit();
		hashes_of[info_now().epoch] = hash_now();
		tend();
	}
}

/* The epochs that can be had are all there after it, one may go on from the oldest of them, with
 * home held anew, and when it is let go home gets what was carried. */
Test(carry, all_that_is_retained_can_be_had_and_gone_on_from_and_merged)
{
	static uint64_t hash[4000];
	static char page[PAGE] __attribute__((aligned(64)));
	uint64_t epochs[CHECKPOINT_EPOCHS_MAX];

	make_pool_on(&disk);
	for (unsigned i = 0; i < PAGES; i++)
		memset(memory[i], (int)i + 1, PAGE);
	open_wide(CHECKPOINT_NEWEST);
	commit();
	for (unsigned lives = 0; lives < 6; lives++) {
		hold_for(1 + lives % 3, hash);
		checkpoint_close(engine);
		cr_assert_eq(checkpoint_open(&engine, &disk.medium, &wide, &why), 0, "%s", why.line);
		const unsigned count = checkpoint_epochs(engine, epochs);
		cr_assert_geq(count, CHECKPOINT_RETAINED);
		for (unsigned i = 0; i < count; i++) {
			load(epochs[i]);
			cr_assert_eq(hash_now(), hash[epochs[i]], "epoch %u", (unsigned)epochs[i]);
		}
		checkpoint_close(engine);
		const uint64_t from = epochs[lives % count];
		open_wide(from);
		load(CHECKPOINT_NEWEST);
		cr_assert_eq(hash_now(), hash[from]);
		hash[info_now().epoch] = hash_now();
	}
	hold_for(1, hash);
	checkpoint_hold(engine, CHECKPOINT_FREE);
	for (unsigned i = 0; i < 6; i++) { /* the same again and again: so is what home gets */
		memory[0][0] ^= 1;
		commit();
	}
	cr_assert_eq(checkpoint_merge(engine), 0);
	cr_assert_gt(info_now().home_pages, 0);
	for (unsigned i = 1; i < PAGES; i++) {
		cr_assert_eq(medium_read(&disk.medium, page, PAGE, LAYOUT_HEAD_BYTES + i * PAGE), 0);
		cr_assert_arr_eq(page, memory[i], PAGE, "page %u", i);
	}
	checkpoint_close(engine);
}

/* What nobody changes costs one epoch, not one after the other. */
Test(carry, makes_no_epochs_of_its_own_for_an_idle_program)
{
	static uint64_t hash[4000];
	uint64_t epoch;

	make_pool_on(&disk);
	open_wide(CHECKPOINT_NEWEST);
	hold_for(1, hash);
	const uint64_t before = info_now().epochs;
	for (unsigned i = 0; i < 50; i++) {
		tend();
		cr_assert_eq(checkpoint_commit(engine, NULL, 0, &epoch), 0);
	}
	cr_assert_leq(info_now().epochs, before + 1);
	assert_memory();
	checkpoint_close(engine);
}

/* It takes many steps, with an epoch after each: the first is its own, and those that follow wait
 * until the program has one. */
Test(carry, makes_one_epoch_of_its_own_however_many_steps_it_takes)
{
	struct checkpoint_plan slow = wide;
	uint64_t epoch;

	slow.step_pages = 8;
	make_pool_on(&disk);
	memset(memory, 1, sizeof(memory));
	cr_assert_eq(checkpoint_open(&engine, &disk.medium, &slow, &why), 0, "%s", why.line);
	cr_assert_eq(checkpoint_attach(engine), 0);
	checkpoint_hold(engine, CHECKPOINT_STILL);
	commit();
	while (engine->carry.phase != CARRY_WRITE) {
		store_and_commit();
		cr_assert_geq(checkpoint_tend(engine), 0);
	}
	const uint64_t before = info_now().epochs;
	for (unsigned i = 0; i < 50; i++) {
		cr_assert_geq(checkpoint_tend(engine), 0);
		cr_assert_eq(checkpoint_commit(engine, NULL, 0, &epoch), 0);
	}
	cr_assert_leq(info_now().epochs, before + 1);
	for (unsigned i = 0; i < 200; i++) {
		store_and_commit();
		cr_assert_geq(checkpoint_tend(engine), 0);
	}
	cr_assert_gt(info_now().carried_rounds, 0);
	assert_recovered();
	checkpoint_close(engine);
}

static void go_on_until(enum carry_phase phase)
{
	while (engine->carry.phase != phase) {
		store_and_commit();
		while (checkpoint_tend(engine) == CHECKPOINT_MORE && engine->carry.phase != phase)
			;
	}
}

/* All that was carried is in an epoch under way, which fails: nobody may rely on it. */
Test(carry, what_was_carried_is_gone_with_an_epoch_that_fails)
{
	const struct checkpoint_page told = {region.id, 0, memory[0]};
	uint64_t epoch;

	hold_full_memory();
	go_on_until(CARRY_WAIT);
	cr_assert_gt(engine->carry.epoch, info_now().epoch);
	memory[0][0]++;
	disk.fault = DISK_FAULT_APPEND;
	cr_assert_lt(checkpoint_commit(engine, &told, 1, &epoch), 0);
	disk.fault = DISK_FAULT_NONE;
	cr_assert_eq(checkpoint_commit(engine, &told, 1, &epoch), 0);
	for (unsigned i = 0; i < 40; i++) {
		store_and_commit();
		tend();
		assert_recovered();
	}
	checkpoint_close(engine);
}

/* What it could not write is forgotten, and no burden to the epoch under way. */
Test(carry, what_could_not_be_written_is_not_left_to_the_commit)
{
	const struct checkpoint_page told = {region.id, 0, memory[0]};
	uint64_t epoch;

	hold_full_memory();
	go_on_until(CARRY_WRITE);
	memory[0][0]++;
	disk.fault = DISK_FAULT_APPEND;
	cr_assert_lt(checkpoint_tend(engine), 0);
	disk.fault = DISK_FAULT_NONE;
	const uint64_t before = info_now().record_bytes;
	cr_assert_eq(checkpoint_commit(engine, &told, 1, &epoch), 0);
	cr_assert_eq(info_now().record_bytes - before, PAGE, "the least there is");
	assert_recovered();
	checkpoint_close(engine);
}

/* What the program has drafted stands in the buffer, and may not be lost to make room. */
Test(carry, drafts_that_are_not_in_the_log_yet_stay)
{
	const struct checkpoint_page told = {region.id, 0, memory[0]};
	uint64_t epoch;

	hold_full_memory();
	for (unsigned i = 0; i < 20; i++) {
		go_on_until(CARRY_WRITE);
		memory[0][i]++;
		cr_assert_eq(checkpoint_draft(engine, &told), 0);
		cr_assert_geq(checkpoint_tend(engine), 0);
		cr_assert_eq(checkpoint_commit(engine, NULL, 0, &epoch), 0);
		assert_recovered();
		go_on_until(CARRY_IDLE);
	}
	checkpoint_close(engine);
}

/* Commits leave it no time: who makes them is told when it must have some, and when no more. */
Test(carry, is_pressed_when_nobody_tends_to_a_held_log)
{
	make_pool_on(&disk);
	open_wide(CHECKPOINT_NEWEST);
	checkpoint_hold(engine, CHECKPOINT_STILL);
	while (info_now().log_bytes < 3 * wide.log_bytes) {
		cr_assert_not(checkpoint_is_pressed(engine));
		store_and_commit();
	}
	cr_assert(checkpoint_is_pressed(engine));
	checkpoint_hold(engine, CHECKPOINT_FREE);
	cr_assert_not(checkpoint_is_pressed(engine));
	checkpoint_hold(engine, CHECKPOINT_STILL);
	for (unsigned i = 0; i < CHECKPOINT_RETAINED + 1; i++) {
		tend();
		store_and_commit();
	}
	tend();
	cr_assert_not(checkpoint_is_pressed(engine));
	checkpoint_close(engine);
}

/* There is no room to carry anything, but for small epochs there is, and for what they free. */
Test(carry, full_disk_fails_nobody_else_and_is_over_when_there_is_room)
{
	static uint64_t hash[4000];

	make_pool_on(&disk);
	open_wide(CHECKPOINT_NEWEST);
	hold_for(2, hash);
	while (info_now().carried_pages == 0 || engine->carry.phase != CARRY_WRITE) {
		store_and_commit();
		cr_assert_geq(checkpoint_tend(engine), 0);
	}
	disk.fault = DISK_FAULT_NO_SPACE;
	disk.fault_from = disk.calls;
	disk.fault_until = UINT64_MAX;
	for (unsigned i = 0; i < 3; i++)
		checkpoint_tend(engine);
	cr_assert_neq(engine->carry.phase, CARRY_WRITE);
	disk.fault = DISK_FAULT_NONE;
	for (unsigned i = 0; i < 5; i++) {
		store_and_commit();
		tend();
		cr_assert_eq(engine->carry.phase, CARRY_IDLE, "not at once: it would fail again");
	}
	for (unsigned i = 0; i < 200; i++) {
		store_and_commit();
		tend();
		assert_recovered();
	}
	cr_assert_gt(info_now().carried_rounds, 2);
	checkpoint_close(engine);
}
