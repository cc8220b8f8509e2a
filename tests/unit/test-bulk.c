/* Large loads go home at once, and the log has only their checksums: no epoch sees half of one, and
 * nothing stays of a load that no epoch took. */
#include "crafted.h"

#include "checkpoint/checkpoint.h"
#include "checkpoint/sum.h"
#include "flush/medium-file.h"

#define PAGE 4096u

TestSuite(bulk, .init = scratch_open, .fini = scratch_close);

#define LOAD_PAGES 4000u

static const struct region heap = {
	.id = CHECKPOINT_REGION_HEAP, .page_count = LOAD_PAGES, .home = LAYOUT_USE_HEAP,
};
static const struct checkpoint_plan load_plan = {.regions = &heap, .region_count = 1};
static char (*load)[PAGE];
static struct checkpoint *engine;

static void open_load(struct pool *pool, struct medium_file *file, const char *path)
{
	cr_assert_eq(pool_open(pool, path, POOL_OWN, &why), 0, "%s", why.line);
	cr_assert_eq(medium_file_open(file, pool, DURABILITY_MEDIA), 0);
	cr_assert_eq(checkpoint_open(&engine, &file->medium, &load_plan, &why), 0, "%s", why.line);
	cr_assert_eq(checkpoint_attach(engine), 0);
}

static void close_load(struct pool *pool, struct medium_file *file)
{
	checkpoint_close(engine);
	medium_file_close(file);
	pool_close(pool);
}

static struct checkpoint_page load_page(unsigned i)
{
	return (struct checkpoint_page){heap.id, i, load[i]};
}

static void fill_load(void)
{
	load = aligned_alloc(PAGE, LOAD_PAGES * PAGE);
	cr_assert_not_null(load);
	for (unsigned i = 0; i < LOAD_PAGES; i++)
		memset(load[i], (int)(1 + i % 255), PAGE);
}

static void commit_load(void)
{
	static struct checkpoint_page pages[LOAD_PAGES];
	uint64_t epoch;

	for (unsigned i = 0; i < LOAD_PAGES; i++)
		pages[i] = load_page(i);
	cr_assert_eq(checkpoint_commit(engine, pages, LOAD_PAGES, &epoch), 0);
}

static void assert_load(void)
{
	static char page[PAGE] __attribute__((aligned(64)));

	for (unsigned i = 0; i < LOAD_PAGES; i++) {
		cr_assert_eq(checkpoint_page(engine, heap.id, i, page), 0);
		cr_assert_arr_eq(page, load[i], PAGE);
	}
	char *const at_once = calloc(LOAD_PAGES, PAGE);
	cr_assert_not_null(at_once);
	cr_assert_eq(checkpoint_pages(engine, heap.id, 0, LOAD_PAGES, at_once), 0);
	cr_assert(memcmp(at_once, load, (size_t)LOAD_PAGES * PAGE) == 0);
	free(at_once);
}

/* 16 MiB through a log of 8 KiB pieces would be 16 MiB of log. */
Test(bulk, a_first_load_goes_home_and_not_through_the_log)
{
	struct pool pool;
	struct medium_file file;
	struct checkpoint_info info;
	const char *path = crafted_pool("pool");
	uint64_t epoch;

	fill_load();
	open_load(&pool, &file, path);
	commit_load();
	checkpoint_info(engine, &info);
	cr_assert_lt(info.record_bytes, 512 * 4200 + LOAD_PAGES * 24 + 64 * PAGE);
	close_load(&pool, &file);
	open_load(&pool, &file, path);
	assert_load();
	for (unsigned i = 0; i < 6; i++) {
		load[600 + i][100 * i] ^= 1;
		const struct checkpoint_page page = load_page(600 + i);
		cr_assert_eq(checkpoint_commit(engine, &page, 1, &epoch), 0);
		cr_assert_eq(checkpoint_merge(engine), 0);
	}
	close_load(&pool, &file);
	open_load(&pool, &file, path);
	assert_load();
	close_load(&pool, &file);
	free(load);
}

static uint64_t data_blocks(const char *path)
{
	struct stat st;

	cr_assert_eq(stat(path, &st), 0);
	return (uint64_t)st.st_blocks * 512 / PAGE;
}

/* Killed while drafts were written: who maps home afterwards must find zeros, and the disk must not
 * stay full of them. */
Test(bulk, drafts_of_no_epoch_are_gone_after_the_next_attach)
{
	struct pool pool;
	struct medium_file file;
	static char bytes[PAGE];
	const char *path = crafted_pool("pool");

	fill_load();
	open_load(&pool, &file, path);
	struct checkpoint_page page = load_page(99);
	cr_assert_eq(checkpoint_draft(engine, &page), 0);
	cr_assert_eq(medium_sync(&file.medium), 0);
	const uint64_t before = data_blocks(path);
	for (unsigned i = 100; i < 1700; i++) {
		page = load_page(i);
		cr_assert_eq(checkpoint_draft(engine, &page), 0);
	}
	cr_assert_eq(medium_sync(&file.medium), 0);
	cr_assert_geq(data_blocks(path), before + 1000);
	close_load(&pool, &file);
	open_load(&pool, &file, path);
	for (unsigned i = 0; i < 1800; i++) {
		cr_assert_eq(medium_read(&file.medium, bytes, PAGE, LAYOUT_HEAD_BYTES + i * PAGE), 0);
		cr_assert(sum_is_zero_page(bytes), "page %u", i);
	}
	cr_assert_lt(data_blocks(path), before + 3 * 512); /* of the log */
	close_load(&pool, &file);
	free(load);
}

/* Forked children see home: not a byte of it may change while they live. */
Test(bulk, leaves_home_alone_while_it_is_held_still)
{
	struct pool pool;
	struct medium_file file;
	static char bytes[PAGE];
	const char *path = crafted_pool("pool");

	fill_load();
	open_load(&pool, &file, path);
	checkpoint_hold(engine, CHECKPOINT_STILL);
	for (unsigned i = 0; i < LOAD_PAGES; i += 2) {
		const struct checkpoint_page page = load_page(i);
		cr_assert_eq(checkpoint_draft(engine, &page), 0);
	}
	for (unsigned i = 0; i < 6; i++) {
		memset(load[7], (int)i, PAGE);
		commit_load();
		cr_assert_eq(checkpoint_merge(engine), 0);
	}
	for (unsigned i = 0; i < LOAD_PAGES; i++) {
		cr_assert_eq(medium_read(&file.medium, bytes, PAGE, LAYOUT_HEAD_BYTES + i * PAGE), 0);
		cr_assert(sum_is_zero_page(bytes), "page %u", i);
	}
	checkpoint_hold(engine, CHECKPOINT_FREE);
	cr_assert_eq(checkpoint_merge(engine), 0);
	cr_assert_eq(medium_read(&file.medium, bytes, PAGE, LAYOUT_HEAD_BYTES + 3 * PAGE), 0);
	cr_assert_arr_eq(bytes, load[3], PAGE);
	close_load(&pool, &file);
	free(load);
}
