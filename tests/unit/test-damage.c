/* Pools whose bytes have rotted: a wrong image is never accepted, a torn tail is told from damage, and
 * the message says where. */
#include "kept-pages.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>

#include "checkpoint/engine.h"

TestSuite(damage, .init = scratch_open, .fini = scratch_close);

/* 1: the right pages of an epoch; 0: refused. Anything else fails the test. */
static int open_damaged(uint64_t *ret_epoch)
{
	static char back[PAGES][PAGE] __attribute__((aligned(64))), at_once[PAGES][PAGE];
	struct checkpoint_info info;

	if (checkpoint_open(&engine, &disk.medium, &plan, &why)) {
		cr_assert(strchr(why.line, ';') != NULL, "%s", why.line);
		return 0;
	}
	checkpoint_info(engine, &info);
	*ret_epoch = info.epoch;
	int result = 1;
	for (unsigned i = 0; i < PAGES && result; i++)
		result = checkpoint_page(engine, region.id, i, back[i]) == 0;
	memset(at_once, 0, sizeof(at_once));
	cr_assert_eq(checkpoint_pages(engine, region.id, 0, PAGES, at_once) == 0, result);
	cr_assert(!result || memcmp(at_once, back, sizeof(back)) == 0);
	if (result)
		cr_assert_eq(sum_bytes(back, sizeof(back), 0), hashes[info.epoch], "epoch %llu is wrong",
			     (unsigned long long)info.epoch);
	checkpoint_close(engine);
	return result;
}

/* Flipped bits, zeroed and swapped blocks, anywhere in what was written: a wrong image is never
 * accepted, and nothing crashes or hangs. */
Test(damage, never_accepts_a_wrong_image_of_a_damaged_pool, .timeout = 60)
{
	uint64_t random = 17, epoch, accepted = 0, refused = 0;
	uint32_t written[4096], count = 0;

	make_history();
	for (uint32_t block = 0; block < disk.touched_end && count < 4096; block++)
		if (disk.touched[block])
			written[count++] = block;
	for (unsigned round = 0; round < 6000; round++) {
		static char was[PAGE];
		uint8_t *at = disk.view + (uint64_t)written[random_below(&random, count)] * PAGE;
		memcpy(was, at, PAGE);
		switch (random_below(&random, 4)) {
		case 0:
			memset(at, 0, PAGE);
			break;
		case 1:
			memcpy(at, disk.view + (uint64_t)written[random_below(&random, count)] * PAGE, PAGE);
			break;
		case 2:
			memset(at + 512 * random_below(&random, 8), (int)random_next(&random), 512);
			break;
		default:
			at[random_below(&random, random_below(&random, 2) ? 128 : PAGE)] ^=
				(uint8_t)(1u << random_below(&random, 8));
		}
		int result = open_damaged(&epoch);
		accepted += result == 1;
		refused += result == 0;
		memcpy(at, was, PAGE);
	}
	cr_assert_gt(accepted, 0);
	cr_assert_gt(refused, 0);
	cr_assert_eq(open_damaged(&epoch), 1);
}

/* A torn tail is quiet; the same damage with records behind it is corruption. */
Test(damage, tells_a_torn_tail_from_damage_before_valid_records)
{
	uint64_t first = 0, last = 0, epoch, newest;

	make_history();
	cr_assert_eq(open_damaged(&newest), 1);
	for (uint64_t at = 0; at < disk.view_bytes; at += PAGE) {
		const struct layout_record *record = (const struct layout_record *)(disk.view + at);
		if (!disk.touched[at / PAGE] || record->magic != LAYOUT_RECORD_MAGIC)
			continue;
		if (record->epoch == newest)
			last = at;
		if (record->epoch == newest - 2)
			first = at;
	}
	cr_assert(first && last);
	disk.view[last + 100] ^= 1;
	cr_assert_eq(open_damaged(&epoch), 1);
	cr_assert_eq(epoch, newest - 1);
	disk.view[last + 100] ^= 1;
	disk.view[first + 100] ^= 1;
	cr_assert_eq(open_damaged(&epoch), 0);
	cr_assert_eq(why.status, STATUS_CORRUPT);
	cr_assert(strstr(why.line, "log at offset") != NULL, "%s", why.line);
	cr_assert(strstr(why.line, "--epoch") == NULL, "it is refused as well: %s", why.line);
}

/* However far behind it the next one stands: 60 KiB a record, in one segment of a megabyte. */
Test(damage, misses_any_record_but_the_last_of_a_long_segment)
{
	struct checkpoint_plan long_plan = plan;
	unsigned found = 0;

	long_plan.segment_bytes = UINT64_C(1) << 20;
	long_plan.log_bytes = 5 * long_plan.segment_bytes;
	make_pool_on(&disk);
	cr_assert_eq(checkpoint_open(&engine, &disk.medium, &long_plan, &why), 0, "%s", why.line);
	cr_assert_eq(checkpoint_attach(engine), 0);
	for (int i = 1; i <= 12; i++) {
		memset(memory, i, sizeof(memory));
		commit();
	}
	checkpoint_close(engine);
	for (uint64_t at = 0; at < disk.view_bytes; at += PAGE) {
		const struct layout_record *record = (const struct layout_record *)(disk.view + at);
		if (!disk.touched[at / PAGE] || record->magic != LAYOUT_RECORD_MAGIC)
			continue;
		found++;
		disk.view[at + 200] ^= 1;
		const int status = checkpoint_open(&engine, &disk.medium, &long_plan, &why);
		if (!status)
			checkpoint_close(engine);
		disk.view[at + 200] ^= 1;
		cr_assert_eq(status, found < 12 ? STATUS_CORRUPT : 0, "record %u", found);
	}
	cr_assert_eq(found, 12);
}

/* Page 2, full of 'a', is in home. */
static void put_to_rest(void)
{
	make_pool_on(&disk);
	open_engine(&disk.medium);
	memset(memory[2], 'a', PAGE);
	for (char i = 1; i < 8; i++) {
		memory[0][0] = i;
		commit();
		cr_assert_eq(checkpoint_merge(engine), 0);
	}
}

/* A page at rest that rotted is told with its place, and logged whole when it changes. */
Test(damage, finds_and_mends_a_rotten_page_of_home)
{
	static char page[PAGE] __attribute__((aligned(64)));
	struct checkpoint_info info;
	const uint64_t home = LAYOUT_HEAD_BYTES + 2 * PAGE;

	put_to_rest();
	cr_assert_eq(disk.view[home + 1000], 'a');
	disk.view[home + 1000] = 'b';
	cr_assert_eq(checkpoint_page(engine, region.id, 2, page), CHECKPOINT_E_DAMAGED);
	struct home_fault fault = checkpoint_fault(engine);
	cr_assert_eq(fault.file_offset, home);
	cr_assert_neq(fault.expected, 0);
	cr_assert_neq(fault.found, fault.expected);
	memory[2][0] = 'c';
	commit();
	cr_assert_eq(checkpoint_page(engine, region.id, 2, page), 0);
	cr_assert_arr_eq(page, memory[2], PAGE);
	checkpoint_info(engine, &info);
	cr_assert_eq(info.mended_pages, 1);
	checkpoint_close(engine);
}

/* ---- What cannot be read ---- */

static uint64_t bad_begin, bad_end;
static const struct medium_table *disk_table;
static struct medium_table bad_table;
static const char *gone; /* NULL, or a mapping behind the end of its file: to touch it is a SIGBUS */

static bool is_bad(uint64_t offset)
{
	return offset >= bad_begin && offset < bad_end;
}

static int read_but_bad(struct medium *medium, void *buffer, size_t len, uint64_t offset)
{
	return offset < bad_end && offset + len > bad_begin
		       ? -EIO : disk_table->read(medium, buffer, len, offset);
}

static const void *view_of_bad(struct medium *medium, size_t len, uint64_t offset)
{
	return is_bad(offset) && gone ? gone + (offset - bad_begin) : NULL;
}

static void make_bad(uint64_t begin, uint64_t len)
{
	bad_begin = begin;
	bad_end = begin + len;
	gone = mmap(NULL, len, PROT_READ, MAP_SHARED, fileno(tmpfile()), 0);
	cr_assert_neq((void *)gone, MAP_FAILED);
	disk_table = disk.medium.table;
	bad_table = *disk_table;
	bad_table.read = read_but_bad;
	bad_table.view = view_of_bad;
	disk.medium.table = &bad_table;
}

static int pass(void *context, uint64_t index, bool is_zero, const void *page)
{
	return 0;
}

/* Where it is shown as a part of the file, a disk that fails is a signal to whoever looks. */
Test(damage, merge_of_a_log_that_cannot_be_read_is_an_error_and_no_signal)
{
	make_pool_on(&disk);
	open_engine(&disk.medium);
	for (char i = 1; i < 10; i++) {
		memory[0][0] = i;
		commit();
	}
	cr_assert_eq(checkpoint_overlay(engine, region.id, pass, NULL), 0);
	make_bad(log_file_place(&engine->log, 0), engine->log.segment_count * plan.segment_bytes);
	cr_assert_eq(checkpoint_merge(engine), CHECKPOINT_E_DAMAGED);
	disk.medium.table = disk_table;
	cr_assert_eq(checkpoint_merge(engine), 0);
	checkpoint_close(engine);
}

/* What is read ahead of a log that ends with the file ends there, too. */
Test(damage, merge_of_a_log_at_the_end_of_the_file_is_no_error)
{
	struct checkpoint_plan last = plan;

	last.segment_bytes = LAYOUT_CHUNK_BYTES;
	last.log_bytes = 4 * last.segment_bytes;
	make_pool_on(&disk);
	cr_assert_eq(checkpoint_open(&engine, &disk.medium, &last, &why), 0, "%s", why.line);
	cr_assert_eq(checkpoint_attach(engine), 0);
	while (engine->log.tail.offset + 2 * PAGE < last.segment_bytes) {
		memory[0][0]++;
		commit();
	}
	cr_assert_eq(log_file_place(&engine->log, 0) + last.segment_bytes, disk.view_bytes);
	cr_assert_eq(checkpoint_merge(engine), 0);
	checkpoint_close(engine);
}

/* What 512 pages were is not known, as often as it is started again; what they are is. Zeros, too. */
Test(damage, pages_whose_checksums_cannot_be_read_are_logged_whole)
{
	struct checkpoint_info info;

	put_to_rest();
	checkpoint_close(engine);
	open_engine(&disk.medium);
	const uint64_t sums = space_place(&engine->anchor.sb, LAYOUT_USE_HEAP_SUMS, 0);
	make_bad(sums, PAGE);
	memory[2][5] = 'b';
	commit();
	checkpoint_info(engine, &info);
	cr_assert_eq(info.damage_error, -EIO);
	cr_assert(info.damage.file_offset >= sums && info.damage.file_offset < sums + PAGE);
	assert_memory();
	checkpoint_close(engine);
	checkpoint_open(&engine, &disk.medium, &plan, &why);
	assert_memory();
	checkpoint_close(engine);
	disk.medium.table = disk_table;
}

/* Of more than are remembered, those beyond would have been taken for what lies in home: zeros. */
Test(damage, of_many_pages_that_cannot_be_read_those_that_become_zeros_do)
{
	static char zeros[PAGE];
	static const struct home_fault fault;

	put_to_rest();
	for (unsigned i = 0; i < DAMAGE_MAX; i++)
		damage_note(&engine->damage, region_key(region.id, 100 + i), ANNALS_NONE, -EIO, &fault);
	make_bad(LAYOUT_HEAD_BYTES + 2 * PAGE, PAGE);
	gone = NULL;
	memcpy(memory[2], zeros, PAGE);
	commit();
	assert_memory();
	disk.medium.table = disk_table;
	checkpoint_close(engine);
}

static void commit_some(char from, unsigned count)
{
	while (count--) {
		memory[0][0] = from++;
		commit();
	}
}

/* It is known what it is; what it was may be lost. */
Test(damage, page_whose_home_cannot_be_read_is_logged_whole)
{
	put_to_rest();
	make_bad(LAYOUT_HEAD_BYTES + 2 * PAGE, PAGE);
	gone = NULL;
	memory[2][5] = 'b';
	commit();
	commit_some(8, 4);
	cr_assert_eq(checkpoint_merge(engine), 0);
	disk.medium.table = disk_table; /* written to, it can be read again */
	assert_memory();
	checkpoint_close(engine);
}

static unsigned mended;

static void found(uint32_t region_id, uint64_t page)
{
	cr_assert_eq(page, 2);
	mended++;
}

/* Likewise, but it has an entry of a line already: no merge would ever come to its end. */
Test(damage, page_that_a_merge_cannot_read_is_told_and_logged_whole)
{
	struct checkpoint_info info;

	put_to_rest();
	memory[2][5] = 'b';
	commit();
	make_bad(LAYOUT_HEAD_BYTES + 2 * PAGE, PAGE);
	commit_some(8, 4);
	cr_assert_eq(checkpoint_merge(engine), CHECKPOINT_E_DAMAGED);
	checkpoint_info(engine, &info);
	cr_assert(info.damaged_pages == 1 && info.damage_error == -EIO);
	cr_assert_eq(info.damage.file_offset, LAYOUT_HEAD_BYTES + 2 * PAGE);
	checkpoint_mend(engine, found);
	cr_assert_eq(mended, 1);
	commit_some(12, 4);
	cr_assert_eq(checkpoint_merge(engine), 0);
	checkpoint_info(engine, &info);
	cr_assert_eq(info.damaged_pages, 0);
	disk.medium.table = disk_table;
	assert_memory();
	checkpoint_close(engine);
}

static uint64_t place_of_newest(unsigned page)
{
	const uint64_t number =
		annals_find(&engine->annals, region_key(region.id, page), ANNALS_NEWEST);

	return log_file_place(&engine->log, annals_at(&engine->annals, number)->lines);
}

/* A block of the log: of one page alone a line is lost, and merges ended for all of them. */
Test(damage, page_whose_entry_cannot_be_read_is_told_and_logged_whole)
{
	struct checkpoint_info info;

	put_to_rest();
	memory[2][5] = 'b';
	commit();
	make_bad(place_of_newest(2) & ~(uint64_t)(PAGE - 1), PAGE);
	commit_some(8, 4);
	cr_assert_eq(checkpoint_merge(engine), CHECKPOINT_E_DAMAGED);
	checkpoint_info(engine, &info);
	cr_assert(info.damaged_pages == 1 && info.damage_error == -EIO && info.tend_error == 0);
	mended = 0;
	checkpoint_mend(engine, found);
	cr_assert_eq(mended, 1);
	commit_some(12, 4);
	cr_assert_eq(checkpoint_merge(engine), 0);
	checkpoint_info(engine, &info);
	cr_assert_eq(info.damaged_pages, 0);
	assert_memory();
	disk.medium.table = disk_table;
	checkpoint_close(engine);
}

/* What nobody wants any more of the log need not be read. */
Test(damage, entry_that_cannot_be_read_is_passed_by_who_has_a_later_one)
{
	put_to_rest();
	memory[2][5] = 'b';
	commit();
	make_bad(place_of_newest(2) & ~(uint64_t)(PAGE - 1), PAGE);
	memory[2][5] = 'c';
	commit();
	commit_some(8, 4);
	cr_assert_eq(checkpoint_merge(engine), 0);
	assert_memory();
	disk.medium.table = disk_table;
	checkpoint_close(engine);
}
