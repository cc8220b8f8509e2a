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

/* A page at rest that rotted is told with its place, and logged whole when it changes. */
Test(damage, finds_and_mends_a_rotten_page_of_home)
{
	static char page[PAGE] __attribute__((aligned(64)));
	struct checkpoint_info info;
	const uint64_t home = LAYOUT_HEAD_BYTES + 2 * PAGE;

	make_pool_on(&disk);
	open_engine(&disk.medium);
	memset(memory[2], 'a', PAGE);
	for (char i = 1; i < 8; i++) {
		memory[0][0] = i;
		commit();
		cr_assert_eq(checkpoint_merge(engine), 0);
	}
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

/* ---- A log that cannot be read ---- */

static uint64_t log_begin, log_end;
static const struct medium_table *disk_table;
static const void *gone; /* a mapping behind the end of its file: to touch it is a SIGBUS */

static bool is_in_log(uint64_t offset)
{
	return offset >= log_begin && offset < log_end;
}

static int read_but_log(struct medium *medium, void *buffer, size_t len, uint64_t offset)
{
	return is_in_log(offset) ? -EIO : disk_table->read(medium, buffer, len, offset);
}

static const void *view_of_log(struct medium *medium, size_t len, uint64_t offset)
{
	return is_in_log(offset) ? gone : NULL;
}

static int pass(void *context, uint64_t index, bool is_zero, const void *page)
{
	return 0;
}

/* Where it is shown as a part of the file, a disk that fails is a signal to whoever looks. */
Test(damage, merge_of_a_log_that_cannot_be_read_is_an_error_and_no_signal)
{
	struct medium_table table;
	FILE *file = tmpfile();

	make_pool_on(&disk);
	open_engine(&disk.medium);
	for (char i = 1; i < 10; i++) {
		memory[0][0] = i;
		commit();
	}
	cr_assert_eq(checkpoint_overlay(engine, region.id, pass, NULL), 0);
	log_begin = log_file_place(&engine->log, 0);
	log_end = log_begin + engine->log.segment_count * plan.segment_bytes;
	gone = mmap(NULL, log_end - log_begin, PROT_READ, MAP_SHARED, fileno(file), 0);
	cr_assert_neq(gone, MAP_FAILED);
	disk_table = disk.medium.table;
	table = *disk_table;
	table.read = read_but_log;
	table.view = view_of_log;
	disk.medium.table = &table;
	cr_assert_eq(checkpoint_merge(engine), -EIO);
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
