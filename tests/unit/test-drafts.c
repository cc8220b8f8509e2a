/* Pages given to the engine ahead of a cut that does not come: a program may be vetoed, or stay in a
 * section, for days. */
#define PAGES 64u
#include "kept-pages.h"

#include "checkpoint/dirty.h"
#include "checkpoint/track.h"

#define COPIES 8u
#define ATTEMPTS 200u

TestSuite(drafts, .init = scratch_open, .fini = scratch_close);

static const struct region heap = {
	.id = CHECKPOINT_REGION_HEAP, .address = memory[0], .page_count = PAGES, .home = LAYOUT_USE_HEAP,
};
static struct track track;

static void nothing(void)
{
}

static void open_all(void)
{
	struct checkpoint_plan heap_plan = plan;

	make_pool_on(&disk);
	heap_plan.regions = &heap;
	heap_plan.bulk_pages = 1;
	cr_assert_eq(checkpoint_open(&engine, &disk.medium, &heap_plan, &why), 0, "%s", why.line);
	cr_assert_eq(checkpoint_attach(engine), 0);
	track_open(&track, TRACK_WP);
	cr_assert_eq(track_add(&track, memory, sizeof(memory)), 0);
	cr_assert_eq(dirty_open(&(struct dirty_plan){.checkpoint = engine, .track = &track,
						     .regions = &heap, .region_count = 1,
						     .staging_bytes = COPIES * PAGE,
						     .before_draft = nothing}), 0);
}

static void cut_and_commit(void)
{
	uint64_t epoch;
	size_t count;
	bool is_pointed;

	cr_assert_eq(dirty_collect(true), 0);
	const struct checkpoint_page *pages = dirty_pages(&count, &is_pointed);
	cr_assert_eq(checkpoint_commit(engine, pages, count, &epoch), 0);
	dirty_settle(true);
}

static void assert_heap(void)
{
	static char page[PAGE] __attribute__((aligned(64)));

	for (unsigned i = 0; i < PAGES; i++) {
		cr_assert_eq(checkpoint_page(engine, heap.id, i, page), 0);
		cr_assert_arr_eq(page, memory[i], PAGE, "page %u", i);
	}
}

/* Each of them once, then copies as long as there is room, and the rest at the cut. */
Test(drafts, log_does_not_grow_with_attempts_that_come_to_nothing)
{
	struct checkpoint_info info;

	open_all();
	for (unsigned i = 0; i < PAGES; i++)
		memset(memory[i], 1, PAGE);
	cut_and_commit();
	for (unsigned i = 0; i < ATTEMPTS; i++) {
		for (unsigned stores = 0; stores < 5; stores++)
			memset(memory[(i * 5 + stores) % PAGES], (int)i, PAGE);
		dirty_precopy();
	}
	checkpoint_info(engine, &info);
	cr_assert_leq(info.record_bytes, 4 * PAGES * PAGE);
	cut_and_commit();
	assert_heap();
	checkpoint_close(engine);
}
