/* The engine on a disk in memory and on a real file: what the crash test does not ask, because it
 * deals in power cuts and not in rot. */
#include "crafted.h"

#include <errno.h>

#include "../crash/disk.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/delta.h"
#include "checkpoint/annals.h"
#include "checkpoint/record.h"
#include "checkpoint/sum.h"
#include "flush/medium-file.h"

#define PAGES 16u
#define PAGE 4096u

TestSuite(checkpoint, .init = scratch_open, .fini = scratch_close);
TestSuite(delta);
TestSuite(index);
TestSuite(annals);
TestSuite(record);

static char memory[PAGES][PAGE] __attribute__((aligned(4096)));
static const struct region region = {
	.id = 5, .address = memory[0], .page_count = PAGES, .home = LAYOUT_USE_HEAP,
};
static const struct checkpoint_plan plan = {
	.regions = &region, .region_count = 1, .segment_bytes = 16384, .log_bytes = 5 * 16384,
};
static struct checkpoint *engine;

/* ---- Delta ---- */

static char page_a[PAGE] __attribute__((aligned(64))), page_b[PAGE] __attribute__((aligned(64)));

static uint64_t lines_a[LAYOUT_LINES], lines_b[LAYOUT_LINES];

static uint64_t mask_of_pages(void)
{
	sum_lines(page_a, 7, lines_a);
	sum_lines(page_b, 7, lines_b);
	return delta_mask(lines_a, lines_b);
}

Test(delta, names_exactly_the_lines_that_differ)
{
	cr_assert_eq(mask_of_pages(), 0);
	page_a[0] = 1;
	page_a[64 * 7 + 63] = 1;
	page_a[PAGE - 1] = 1;
	cr_assert_eq(mask_of_pages(), UINT64_C(1) | UINT64_C(1) << 7 | UINT64_C(1) << 63);
}

Test(delta, packed_lines_over_the_old_page_are_the_new_page)
{
	static char lines[PAGE];
	uint64_t random = 3;

	for (unsigned round = 0; round < 200; round++) {
		memcpy(page_b, page_a, PAGE);
		for (unsigned i = random_below(&random, 80); i; i--)
			page_a[random_below(&random, PAGE)] ^= (char)random_next(&random);
		uint64_t mask = mask_of_pages();
		delta_pack(lines, page_a, mask);
		delta_apply(page_b, mask, UINT64_MAX, lines);
		cr_assert_arr_eq(page_a, page_b, PAGE);
	}
}

Test(delta, only_the_lines_wanted_are_taken_out_of_those_packed)
{
	static char lines[PAGE];

	memset(page_a, 'a', PAGE);
	delta_pack(lines, page_a, 0x7);
	lines[64] = 'b';
	delta_apply(page_b, 0x7, 0x6, lines);
	cr_assert_eq(page_b[0], 0);
	cr_assert_eq(page_b[64], 'b');
	cr_assert_eq(page_b[128], 'a');
	cr_assert_eq(page_b[192], 0);
}

Test(delta, the_same_lines_elsewhere_or_in_another_pool_have_another_sum)
{
	static uint64_t other[LAYOUT_LINES];

	memset(page_a, 1, 64);
	memset(page_b + 64, 1, 64);
	mask_of_pages();
	cr_assert_eq(lines_a[0], lines_b[1]);
	cr_assert_neq(sum_page(page_a, lines_a), sum_page(page_b, lines_b));
	sum_lines(page_a, 8, other);
	cr_assert_neq(sum_page(page_a, lines_a), sum_page(page_a, other));
}

/* ---- Index and annals ---- */

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

/* ---- Records: bytes that claim to be one ---- */

static const uint8_t uuid[16] = "a pool's number";
static const struct record_place place = {
	.uuid = uuid, .offset = 8192, .segment_seq = 3, .room = 16384, /* what record_make() allocates */
};

static struct layout_record *record_make(unsigned entries)
{
	struct layout_record *record = calloc(1, 16384);
	char *at = (char *)(record + 1);

	cr_assert_not_null(record);
	record->epoch = record->seq = 9;
	record->segment_seq = place.segment_seq;
	record->offset = place.offset;
	record->entry_count = entries;
	for (unsigned i = 0; i < entries; i++) {
		struct layout_entry entry = {.key = region_key(5, i), .mask = 1u << i | 1, .sum = 77};
		memcpy(at, &entry, sizeof(entry));
		memset(at + sizeof(entry), 'x', delta_bytes(entry.mask));
		at += sizeof(entry) + delta_bytes(entry.mask);
	}
	record->entry_bytes = (uint64_t)(at - (char *)(record + 1));
	record_seal(record, uuid);
	return record;
}

static bool is_accepted(const struct layout_record *record)
{
	return record_head_fits(record, &place) && record_is_whole(record, uuid);
}

Test(record, of_which_any_bit_is_wrong_is_refused)
{
	struct layout_record *record = record_make(8);

	cr_assert(is_accepted(record));
	for (uint32_t i = 0; i < record->len * 8; i++) {
		uint8_t *byte = (uint8_t *)record + i / 8;
		uint8_t was = *byte;
		*byte ^= (uint8_t)(1u << i % 8);
		cr_assert(!is_accepted(record), "bit %u", i);
		*byte = was;
	}
	free(record);
}

Test(record, is_valid_in_its_own_place_pool_and_order_only)
{
	struct layout_record *record = record_make(2);
	struct record_place other = place;
	uint8_t other_uuid[16] = "another pool's ";

	other.offset += 4096;
	cr_assert(!record_head_fits(record, &other));
	other = place;
	other.segment_seq++;
	cr_assert(!record_head_fits(record, &other));
	other = place;
	other.room = record->len - 1;
	cr_assert(!record_head_fits(record, &other));
	cr_assert(!record_is_whole(record, other_uuid));
	cr_assert(record_follows(record, &(struct layout_trim){.seq = 8}));
	cr_assert(!record_follows(record, &(struct layout_trim){.seq = 7}));
	cr_assert(!record_follows(record, &(struct layout_trim){.seq = 8, .checksum = 1}));
	cr_assert(!record_follows(record, &(struct layout_trim){.seq = 8, .branch = 1}));
	free(record);
}

/* Sealed by somebody who can compute checksums: entries never lead out of the record. */
Test(record, with_made_up_entries_never_leads_out_of_its_bytes)
{
	uint64_t random = 11;

	for (unsigned round = 0; round < 20000; round++) {
		struct layout_record *record = record_make(1 + random_below(&random, 8));
		struct layout_record *exact = NULL;
		struct annals_entry entry;
		uint64_t at = 0, bytes = record->entry_bytes;
		for (unsigned i = 1 + random_below(&random, 6); i; i--)
			((char *)(record + 1))[random_below(&random, (uint32_t)bytes)] ^=
				(char)random_next(&random);
		if (random_below(&random, 4) == 0)
			record->entry_bytes = random_below(&random, (uint32_t)bytes + 1);
		/* Not a byte more than the entries: a sanitizer sees the first one too far. */
		exact = malloc(sizeof(*exact) + record->entry_bytes);
		cr_assert_not_null(exact);
		memcpy(exact, record, sizeof(*exact) + record->entry_bytes);
		while (record_next_entry(exact, &at, &entry) == 1) {
			cr_assert_leq(at, exact->entry_bytes);
			cr_assert_leq(entry.lines + delta_bytes(entry.mask),
				      sizeof(*exact) + exact->entry_bytes);
		}
		free(exact);
		free(record);
	}
}

/* ---- Whole pools ---- */

static struct disk disk;

static void make_pool_on(struct disk *on)
{
	static char head[2 * PAGE];
	int fd = crafted_open(crafted_pool("pool"));

	disk_init(on);
	disk_empty(on, LAYOUT_HEAD_BYTES + CRAFTED_BYTES);
	cr_assert_eq(pread(fd, head, sizeof(head), 0), (ssize_t)sizeof(head));
	disk_put(on, head, sizeof(head), 0);
	close(fd);
}

static void open_engine(struct medium *medium)
{
	cr_assert_eq(checkpoint_open(&engine, medium, &plan, &why), 0, "%s", why.line);
	cr_assert_eq(checkpoint_attach(engine), 0);
}

static uint64_t commit(void)
{
	uint64_t epoch = 0;

	cr_assert_eq(checkpoint_commit_compared(engine, &epoch), 0);
	return epoch;
}

static void assert_pages(uint64_t epoch, char first)
{
	static char page[PAGE] __attribute__((aligned(64)));

	cr_assert_eq(checkpoint_select(engine, epoch), 0);
	cr_assert_eq(checkpoint_page(engine, region.id, 0, page), 0);
	cr_assert_eq(page[0], first);
}

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

/* Several epochs, merged in part; hashes[n] is epoch n. */
static uint64_t hashes[64];

static void make_history(void)
{
	uint64_t random = 5;

	make_pool_on(&disk);
	open_engine(&disk.medium);
	hashes[0] = sum_bytes(memory, sizeof(memory), 0);
	for (unsigned i = 0; i < 12; i++) {
		for (unsigned stores = 3; stores; stores--)
			memory[random_below(&random, PAGES)][random_below(&random, PAGE)] = (char)(i + 1);
		if (i % 4 == 3)
			memset(memory[i], (int)i, PAGE);
		uint64_t epoch = commit();
		cr_assert_lt(epoch, 64);
		hashes[epoch] = sum_bytes(memory, sizeof(memory), 0);
		if (i == 7)
			cr_assert_eq(checkpoint_merge(engine), 0);
	}
	checkpoint_close(engine);
}

/* 1: the right pages of an epoch; 0: refused. Anything else fails the test. */
static int open_damaged(uint64_t *ret_epoch)
{
	static char back[PAGES][PAGE] __attribute__((aligned(64)));
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
	if (result)
		cr_assert_eq(sum_bytes(back, sizeof(back), 0), hashes[info.epoch], "epoch %llu is wrong",
			     (unsigned long long)info.epoch);
	checkpoint_close(engine);
	return result;
}

/* Flipped bits, zeroed and swapped blocks, anywhere in what was written: a wrong image is never
 * accepted, and nothing crashes or hangs. */
Test(checkpoint, never_accepts_a_wrong_image_of_a_damaged_pool, .timeout = 60)
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
Test(checkpoint, tells_a_torn_tail_from_damage_before_valid_records)
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

/* A page at rest that rotted is told with its place, and logged whole when it changes. */
Test(checkpoint, finds_and_mends_a_rotten_page_of_home)
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

/* ---- Regions and numbers ---- */

/* A module of the program is loaded while epochs are made. */
Test(checkpoint, a_region_may_come_late_and_its_pages_come_back)
{
	static char late[700][PAGE] __attribute__((aligned(4096)));
	static char page[PAGE] __attribute__((aligned(64)));
	struct region module = {
		.id = 9, .page_count = 700, .home = LAYOUT_USE_REGIONS, .home_offset = UINT64_MAX,
	};
	const uint64_t where[] = {0, 699};
	struct region other = module;
	uint64_t epoch;

	make_pool_on(&disk);
	open_engine(&disk.medium);
	cr_assert_eq(checkpoint_add_region(engine, &module), 0);
	other.id = 10;
	cr_assert_eq(checkpoint_add_region(engine, &other), 0);
	cr_assert_eq(module.home_offset, 0);
	cr_assert_eq(other.home_offset, 700 * PAGE);
	for (char i = 1; i < 8; i++) {
		for (unsigned j = 0; j < 2; j++)
			late[where[j]][5] = (char)(i + j);
		const struct checkpoint_page pages[] = {
			{9, 0, late[0]}, {9, 699, late[699]}, {10, 0, late[0]}, {10, 699, late[699]}};
		cr_assert_eq(checkpoint_commit(engine, pages, 4, &epoch), 0);
		cr_assert_eq(checkpoint_merge(engine), 0);
	}
	checkpoint_close(engine);
	open_engine(&disk.medium);
	cr_assert_eq(checkpoint_add_region(engine, &module), 0);
	cr_assert_eq(checkpoint_add_region(engine, &other), 0);
	for (unsigned j = 0; j < 2; j++) {
		cr_assert_eq(checkpoint_page(engine, 9, where[j], page), 0);
		cr_assert_arr_eq(page, late[where[j]], PAGE);
		cr_assert_eq(checkpoint_page(engine, 10, where[j], page), 0);
		cr_assert_arr_eq(page, late[where[j]], PAGE);
	}
	checkpoint_close(engine);
}

Test(checkpoint, refuses_a_region_that_would_share_a_byte_of_home)
{
	struct region one = {.id = 9, .page_count = 4, .home = LAYOUT_USE_REGIONS};
	struct region two = one, beyond = one, heap = {.id = 12, .page_count = 1, .home = LAYOUT_USE_HEAP};

	make_pool_on(&disk);
	open_engine(&disk.medium);
	one.home_offset = UINT64_MAX;
	cr_assert_eq(checkpoint_add_region(engine, &one), 0);
	cr_assert_eq(checkpoint_add_region(engine, &one), 0);
	two.id = 10;
	two.home_offset = 3 * PAGE;
	cr_assert_eq(checkpoint_add_region(engine, &two), -EEXIST);
	two = one;
	two.page_count++;
	cr_assert_eq(checkpoint_add_region(engine, &two), -EEXIST);
	cr_assert_eq(checkpoint_add_region(engine, &heap), -EEXIST);
	beyond.id = 11;
	beyond.home_offset = UINT64_C(1) << 40;
	cr_assert_eq(checkpoint_add_region(engine, &beyond), -ERANGE);
	checkpoint_close(engine);
}

Test(checkpoint, keeps_more_regions_than_a_program_has_modules)
{
	struct region module = {.page_count = 1, .home = LAYOUT_USE_REGIONS};
	uint64_t ends = 0;

	make_pool_on(&disk);
	open_engine(&disk.medium);
	for (unsigned i = 0; i < 300; i++) {
		module.id = 1000 + 64 * i;
		module.home_offset = UINT64_MAX;
		cr_assert_eq(checkpoint_add_region(engine, &module), 0);
		cr_assert_eq(module.home_offset, ends);
		ends += PAGE;
	}
	checkpoint_close(engine);
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

/* ---- Before and between commits ---- */

static void draft(unsigned page)
{
	const struct checkpoint_page told = {region.id, page, memory[page]};

	cr_assert_eq(checkpoint_draft(engine, &told), 0);
}

static void assert_memory(void)
{
	static char page[PAGE] __attribute__((aligned(64)));

	for (unsigned i = 0; i < PAGES; i++) {
		cr_assert_eq(checkpoint_page(engine, region.id, i, page), 0);
		cr_assert_arr_eq(page, memory[i], PAGE, "page %u", i);
	}
}

/* Stored to after the draft, or changed back: what the commit is given counts, the rest is as it was
 * drafted. */
Test(checkpoint, what_was_drafted_is_in_the_epoch_unless_given_again)
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

Test(checkpoint, drafts_alone_make_an_epoch_and_none_makes_none)
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
Test(checkpoint, a_commit_is_one_append)
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
Test(checkpoint, merges_in_steps_between_commits)
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
Test(checkpoint, what_a_run_began_with_stays_while_it_is_held)
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
Test(checkpoint, log_stays_short_though_no_run_lives_long)
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

/* ---- Bulk ---- */

#define LOAD_PAGES 4000u

static const struct region heap = {
	.id = CHECKPOINT_REGION_HEAP, .page_count = LOAD_PAGES, .home = LAYOUT_USE_HEAP,
};
static const struct checkpoint_plan load_plan = {.regions = &heap, .region_count = 1};
static char (*load)[PAGE];

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
}

/* 16 MiB through a log of 8 KiB pieces would be 16 MiB of log. */
Test(checkpoint, a_first_load_goes_home_and_not_through_the_log)
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
Test(checkpoint, drafts_of_no_epoch_are_gone_after_the_next_attach)
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
Test(checkpoint, leaves_home_alone_while_it_is_held_still)
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
