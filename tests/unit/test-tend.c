/* What is done before and between commits, so that a commit is one write: drafts, and a merge in
 * steps; and what holds the merge back. */
#include "kept-pages.h"

TestSuite(tend, .init = scratch_open, .fini = scratch_close);

static void draft(unsigned page)
{
	const struct checkpoint_page told = {region.id, page, memory[page]};

	cr_assert_eq(checkpoint_draft(engine, &told), 0);
}

/* Stored to after the draft, or changed back: what the commit is given counts, the rest is as it was
 * drafted. */
Test(tend, what_was_drafted_is_in_the_epoch_unless_given_again)
{
	uint64_t epoch;

	make_pool_on(&disk);
	open_engine(&disk.medium);
	for (unsigned i = 0; i < 4; i++)
		memory[i][7] = 'a';
	commit();
	for (unsigned i = 0; i < 8; i++) {
		memory[i][7] = 'b';
		draft(i);
	}
	memory[1][7] = 'c';
	memory[2][7] = 'a'; /* of the last epoch again */
	memory[5][7] = 0;   /* zeros again */
	const struct checkpoint_page given[] = {
		{region.id, 1, memory[1]}, {region.id, 2, memory[2]}, {region.id, 5, memory[5]}};
	cr_assert_eq(checkpoint_commit(engine, given, 3, &epoch), 0);
	assert_memory();
	checkpoint_close(engine);
	open_engine(&disk.medium);
	assert_memory();
	checkpoint_close(engine);
}

Test(tend, drafts_alone_make_an_epoch_and_none_makes_none)
{
	uint64_t first, epoch;

	make_pool_on(&disk);
	open_engine(&disk.medium);
	memory[3][7] = 'a';
	draft(3);
	cr_assert_eq(checkpoint_commit(engine, NULL, 0, &first), 0);
	assert_memory();
	draft(3);
	cr_assert_eq(checkpoint_commit(engine, NULL, 0, &epoch), 0);
	cr_assert_eq(epoch, first);
	checkpoint_close(engine);
}

/* After the cut somebody waits: nothing but the one write of the record. */
Test(tend, a_commit_is_one_append)
{
	make_pool_on(&disk);
	open_engine(&disk.medium);
	for (unsigned i = 0; i < 200; i++) {
		int more;
		memory[i % PAGES][i] = (char)(i + 1);
		memory[(i + 5) % PAGES][i] = (char)(i + 1);
		while ((more = checkpoint_tend(engine)) == CHECKPOINT_MORE)
			;
		cr_assert_eq(more, 0);
		uint64_t calls = disk.calls;
		commit();
		/* The first of a segment writes its header as well, and superblocks if it must. */
		cr_assert_leq(disk.calls - calls, i % 3 == 0 ? 6 : 2, "commit %u: %llu calls", i,
			      (unsigned long long)(disk.calls - calls));
	}
	checkpoint_close(engine);
}

/* Commits pass between the steps of a merge, and change pages that it has still to write. */
Test(tend, merges_in_steps_between_commits)
{
	struct checkpoint_plan steps = plan;
	struct checkpoint_info info;
	unsigned unfinished = 0;

	make_pool_on(&disk);
	steps.step_pages = 2;
	cr_assert_eq(checkpoint_open(&engine, &disk.medium, &steps, &why), 0, "%s", why.line);
	cr_assert_eq(checkpoint_attach(engine), 0);
	for (unsigned i = 0; i < 300; i++) {
		memory[i * 7 % PAGES][i % 64 * 64] = (char)(i + 1);
		memory[i * 3 % PAGES][i % 64 * 64] = (char)(i + 1);
		commit();
		int more = checkpoint_tend(engine);
		cr_assert_geq(more, 0);
		unfinished += more == CHECKPOINT_MORE;
		if (i % 50 == 0)
			assert_memory();
	}
	checkpoint_info(engine, &info);
	cr_assert_gt(unfinished, 20);
	cr_assert_gt(info.home_bytes, 0);
	cr_assert_gt(info.user_bytes, 0);
	cr_assert_leq(info.log_bytes, 2 * plan.log_bytes);
	assert_memory();
	checkpoint_close(engine);
}

/* A run that goes wrong at once: what it began with can be had for as long as nothing is merged. */
Test(tend, what_a_run_began_with_stays_while_it_is_held)
{
	uint64_t epochs[CHECKPOINT_EPOCHS_MAX];
	struct checkpoint_info info;

	make_pool_on(&disk);
	open_engine(&disk.medium);
	memory[0][0] = 1;
	uint64_t before = commit();
	memory[0][0] = 2;
	uint64_t began = commit();
	checkpoint_close(engine);
	open_engine(&disk.medium);
	checkpoint_hold(engine, CHECKPOINT_RETAIN);
	for (char i = 3; i < 60; i++) {
		memory[0][0] = i;
		memset(memory[i % (PAGES - 1) + 1], i, PAGE);
		commit();
		cr_assert_geq(checkpoint_tend(engine), 0);
		cr_assert_eq(checkpoint_merge(engine), 0);
	}
	checkpoint_info(engine, &info);
	cr_assert_eq(info.home_pages, 0);
	cr_assert_gt(info.log_bytes, plan.log_bytes);
	checkpoint_close(engine);
	cr_assert_eq(checkpoint_open(&engine, &disk.medium, &plan, &why), 0, "%s", why.line);
	cr_assert_eq(checkpoint_epochs(engine, epochs), CHECKPOINT_EPOCHS_MAX);
	cr_assert_eq(epochs[CHECKPOINT_RETAINED], began);
	cr_assert_eq(epochs[CHECKPOINT_RETAINED + 1], before);
	assert_pages(began, 2);
	assert_pages(before, 1);
	assert_pages(CHECKPOINT_NEWEST, 59);
	cr_assert_eq(checkpoint_attach(engine), 0);
	cr_assert_eq(checkpoint_merge(engine), 0);
	checkpoint_info(engine, &info);
	cr_assert_gt(info.home_pages, 0);
	cr_assert_eq(checkpoint_epochs(engine, epochs), CHECKPOINT_RETAINED);
	assert_memory();
	checkpoint_close(engine);
}

/* Nothing was merged in a run's first seconds, and a program killed every 200 ms had 1.2 GB of log. */
Test(tend, log_stays_short_though_no_run_lives_long)
{
	struct checkpoint_info info;

	make_pool_on(&disk);
	for (char life = 1; life < 60; life++) {
		open_engine(&disk.medium);
		checkpoint_hold(engine, CHECKPOINT_RETAIN);
		checkpoint_info(engine, &info);
		const uint64_t began = info.epoch;
		for (char i = 0; i < 6; i++) {
			memset(memory[0], life + i, PAGE);
			memset(memory[life % (PAGES - 1) + 1], life + i, PAGE);
			commit();
			while (checkpoint_tend(engine) > 0)
				;
		}
		checkpoint_info(engine, &info);
		cr_assert_leq(info.log_bytes, 4 * plan.log_bytes);
		checkpoint_close(engine);
		cr_assert_eq(checkpoint_open(&engine, &disk.medium, &plan, &why), 0, "%s", why.line);
		if (life > 1)
			assert_pages(began, (char)(life + 4));
		checkpoint_close(engine);
	}
}
