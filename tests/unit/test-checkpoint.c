/* Epochs of whole pools, on a disk in memory and on a real file: which are kept, what is written for
 * them, what a full disk leaves, and how they are numbered. Power cuts are the crash test's. */
#include "kept-pages.h"

#include <errno.h>

#include "flush/medium-file.h"

TestSuite(checkpoint, .init = scratch_open, .fini = scratch_close);

Test(checkpoint, keeps_the_newest_four_epochs_in_a_file)
{
	struct pool pool;
	struct medium_file file;
	uint64_t epochs[CHECKPOINT_EPOCHS_MAX];
	const char *path = crafted_pool("pool");

	for (int run = 0; run < 2; run++) {
		cr_assert_eq(pool_open(&pool, path, POOL_OWN, &why), 0, "%s", why.line);
		cr_assert_eq(medium_file_open(&file, &pool, DURABILITY_MEDIA), 0);
		open_engine(&file.medium);
		for (int i = 1; i <= 6; i++) {
			memory[0][0] = (char)(10 * run + i);
			memory[i][64 * i] = (char)i;
			commit();
			cr_assert_eq(checkpoint_merge(engine), 0);
		}
		cr_assert_eq(checkpoint_epochs(engine, epochs), 4);
		for (unsigned i = 0; i < 4; i++)
			assert_pages(epochs[i], (char)(10 * run + 6 - (int)i));
		checkpoint_close(engine);
		medium_file_close(&file);
		pool_close(&pool);
	}
}

Test(checkpoint, without_a_change_writes_nothing)
{
	struct checkpoint_info before, after;

	make_pool_on(&disk);
	open_engine(&disk.medium);
	memory[3][5] = 1;
	uint64_t epoch = commit();
	checkpoint_info(engine, &before);
	uint64_t calls = disk.calls;
	cr_assert_eq(commit(), epoch);
	checkpoint_info(engine, &after);
	cr_assert_eq(disk.calls, calls);
	cr_assert_eq(after.record_bytes, before.record_bytes);
	checkpoint_close(engine);
}

Test(checkpoint, a_full_disk_leaves_the_last_epoch_and_heals)
{
	struct checkpoint_info info;
	uint64_t epoch, last;

	make_pool_on(&disk);
	open_engine(&disk.medium);
	memory[0][0] = 1;
	last = commit();
	disk.fault = DISK_FAULT_NO_SPACE;
	disk.fault_until = UINT64_MAX;
	memory[0][0] = 2;
	cr_assert_eq(checkpoint_commit_compared(engine, &epoch), -ENOSPC);
	checkpoint_info(engine, &info);
	cr_assert_eq(info.error, -ENOSPC);
	cr_assert_eq(info.epoch, last);
	assert_pages(last, 1);
	disk.fault = DISK_FAULT_NONE;
	cr_assert_gt(commit(), last);
	checkpoint_info(engine, &info);
	cr_assert_eq(info.error, 0);
	assert_pages(info.epoch, 2);
	checkpoint_close(engine);
}

/* After a failed append the rest of its segment is never used. */
Test(checkpoint, goes_on_in_another_segment_after_a_failed_append)
{
	struct layout_superblock sb[2];
	uint64_t epoch, seq = 0;

	make_pool_on(&disk);
	open_engine(&disk.medium);
	memory[0][0] = 1;
	commit();
	disk.fault = DISK_FAULT_EIO;
	disk.fault_from = disk.calls;
	disk.fault_until = disk.calls + 1;
	memory[0][0] = 2;
	cr_assert_eq(checkpoint_commit_compared(engine, &epoch), -EIO);
	commit();
	checkpoint_close(engine);
	cr_assert_eq(medium_read(&disk.medium, sb, sizeof(sb), 0), 0);
	const struct layout_superblock *newest = &sb[sb[1].seq > sb[0].seq];
	for (uint64_t i = 0; i < 4; i++) {
		struct layout_segment header;
		cr_assert_eq(medium_read(&disk.medium, &header, sizeof(header),
					 space_place(newest, LAYOUT_USE_LOG, i * 16384)), 0);
		seq = header.magic == LAYOUT_SEGMENT_MAGIC && header.seq > seq ? header.seq : seq;
	}
	cr_assert_eq(seq, 2);
}

static char overlaid[PAGES][PAGE] __attribute__((aligned(64)));

static int overlay_page(void *context, uint64_t index, bool is_zero, const void *page)
{
	cr_assert_eq(is_zero, sum_is_zero_page(page));
	memcpy(overlaid[index], page, PAGE);
	++*(unsigned *)context;
	return 0;
}

/* What a lazy attach maps: home, and over it what the log says. */
Test(checkpoint, home_and_the_overlay_are_the_epoch)
{
	uint64_t epochs[CHECKPOINT_EPOCHS_MAX];

	make_history();
	for (unsigned i = 0; i < CHECKPOINT_RETAINED; i++) {
		unsigned visited = 0;
		cr_assert_eq(checkpoint_open(&engine, &disk.medium, &plan, &why), 0, "%s", why.line);
		cr_assert_eq(checkpoint_epochs(engine, epochs), CHECKPOINT_RETAINED);
		cr_assert_eq(checkpoint_select(engine, epochs[i]), 0);
		cr_assert_eq(medium_read(&disk.medium, overlaid, sizeof(overlaid), LAYOUT_HEAD_BYTES), 0);
		cr_assert_eq(checkpoint_overlay(engine, region.id, overlay_page, &visited), 0);
		cr_assert_eq(sum_bytes(overlaid, sizeof(overlaid), 0), hashes[epochs[i]]);
		cr_assert_leq(visited, checkpoint_entry_count(engine));
		checkpoint_close(engine);
	}
}

/* Some of whose homes are all there is of them, and some not; zeros stay what was there. */
static void assert_at_once(uint64_t first, uint64_t count)
{
	static char page[PAGE] __attribute__((aligned(64)));

	memset(overlaid, 'u', sizeof(overlaid));
	cr_assert_eq(checkpoint_pages(engine, region.id, first, count, overlaid[first]), 0);
	for (uint64_t i = 0; i < PAGES; i++) {
		cr_assert_eq(checkpoint_page(engine, region.id, i, page), 0);
		if (i < first || i >= first + count || sum_is_zero_page(page))
			memset(page, 'u', PAGE);
		cr_assert_arr_eq(overlaid[i], page, PAGE, "page %u of %u from %u on", (unsigned)i,
				 (unsigned)count, (unsigned)first);
	}
}

Test(checkpoint, pages_read_at_once_are_what_each_of_them_is_and_zeros_are_not_touched)
{
	uint64_t epochs[CHECKPOINT_EPOCHS_MAX];

	make_history();
	cr_assert_eq(checkpoint_open(&engine, &disk.medium, &plan, &why), 0, "%s", why.line);
	cr_assert_eq(checkpoint_epochs(engine, epochs), CHECKPOINT_RETAINED);
	for (unsigned i = 0; i < CHECKPOINT_RETAINED; i++) {
		cr_assert_eq(checkpoint_select(engine, epochs[i]), 0);
		for (uint64_t first = 0; first < PAGES; first++)
			for (uint64_t count = 0; count <= PAGES - first; count++)
				assert_at_once(first, count);
	}
	cr_assert_eq(checkpoint_pages(engine, region.id, 1, PAGES, overlaid), -ERANGE);
	checkpoint_close(engine);
}

/* hsk_epoch() never goes back, and an old epoch's number never means another one. */
Test(checkpoint, an_emptied_pool_gives_no_number_twice)
{
	struct pool pool;
	struct medium_file file;
	struct checkpoint_info info;
	uint64_t newest = 0;
	const char *path = crafted_pool("pool");

	for (int run = 0; run < 3; run++) {
		cr_assert_eq(pool_open(&pool, path, POOL_OWN, &why), 0, "%s", why.line);
		cr_assert_eq(medium_file_open(&file, &pool, DURABILITY_MEDIA), 0);
		open_engine(&file.medium);
		checkpoint_info(engine, &info);
		cr_assert_eq(info.epoch, 0);
		cr_assert_geq(info.attempt, newest);
		for (int i = 0; i < 6; i++) {
			memory[0][0]++;
			uint64_t epoch = commit();
			cr_assert_gt(epoch, newest);
			newest = epoch;
		}
		checkpoint_info(engine, &info);
		checkpoint_close(engine);
		medium_file_close(&file);
		pool_close(&pool);
		cr_assert_eq(pool_open(&pool, path, POOL_OWN, &why), 0, "%s", why.line);
		pool.epoch_seen = info.attempt;
		cr_assert_eq(pool_reset(&pool, &why), 0, "%s", why.line);
		pool_close(&pool);
		memset(memory, 0, sizeof(memory));
	}
}
