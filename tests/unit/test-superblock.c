/* Superblocks: the newest whole one counts, and nothing in it is believed. */
#include "crafted.h"

#include "config.h"

TestSuite(superblock, .init = scratch_open, .fini = scratch_close);

static int try_open(const char *path)
{
	struct pool pool;
	int status = pool_open(&pool, path, POOL_READ, &why);

	if (!status)
		pool_close(&pool);
	return status;
}

/* Each bad field: how to make it, the status, and the line behind "<path>: ". */
struct bad_field {
	const char *name;
	void (*change)(struct layout_superblock *sb);
	int status;
	const char *line;
};

#define DAMAGED "; restore it from a copy, or remove it"
#define MADE_BY "; use the heapsake that made it"
#define ELSEWHERE "; use it on the kind of machine that made it"

#define CHANGE(name, statement) \
	static void make_##name(struct layout_superblock *sb) \
	{ \
		statement; \
	}
CHANGE(newer, sb->version = 9)
CHANGE(must_feature, sb->features_must = 4)
CHANGE(read_only_feature, sb->features_read_only = 8)
CHANGE(foreign_machine, sb->machine = 183)
CHANGE(foreign_endianness, sb->endianness = 2)
CHANGE(foreign_class, sb->word_class = 1)
CHANGE(foreign_page, sb->page_bytes = 65536)
CHANGE(base_odd, sb->base += 4096)
CHANGE(base_zero, sb->base = 0)
CHANGE(base_high, sb->base = UINT64_C(1) << 47)
CHANGE(size_odd, sb->size_bytes += 1)
CHANGE(size_zero, sb->size_bytes = 0)
CHANGE(size_huge, sb->size_bytes = ~(LAYOUT_CHUNK_BYTES - 1))
CHANGE(size_wrong, sb->size_bytes += LAYOUT_CHUNK_BYTES)
CHANGE(keep_unknown, sb->keep = 4)
CHANGE(no_extent, sb->extent_count = 0)
CHANGE(many_extents, sb->extent_count = UINT32_MAX)
CHANGE(use_none, sb->extents[0].use = LAYOUT_USE_NONE)
CHANGE(use_unknown, sb->extents[0].use = 6)
CHANGE(extent_reserved, sb->extents[0].reserved = 1)
CHANGE(extent_in_head, sb->extents[0].file_offset = 0)
CHANGE(extent_odd, sb->extents[0].file_offset += 4096)
CHANGE(extent_beyond_int64, sb->extents[0].file_offset = UINT64_C(1) << 63)
CHANGE(extent_len_overflow, sb->extents[0].len = UINT64_MAX & ~(LAYOUT_CHUNK_BYTES - 1))
CHANGE(extent_len_zero, sb->extents[0].len = 0)
CHANGE(extent_len_odd, sb->extents[0].len += 512)
CHANGE(extent_past_end, (sb->extents[0].len *= 2, sb->size_bytes *= 2))
CHANGE(overlap, (sb->extents[1] = sb->extents[0], sb->extent_count = 2))
CHANGE(unused_extent, sb->extents[1].len = 1)
CHANGE(reserved_start, sb->reserved0 = 1)
CHANGE(reserved_middle, sb->reserved1 = 1)
CHANGE(reserved_end, sb->reserved2[sizeof(sb->reserved2) - 1] = 255)

/* At offset: in the superblock that is read, slot 0 (seq 2). */
#define FOUND(offset, found, expected) \
	"superblock at offset " #offset ": found " #found ", expected " expected
#define SIZES "a multiple of 2 MiB, at least 16 MiB, that fits above the base" DAMAGED
#define LENGTHS "a length of whole 2 MiB" DAMAGED
#define OFFSETS "a 2 MiB-aligned file offset behind the head" DAMAGED
#define FEATURES "no feature this version lacks" MADE_BY

/* clang-format off */
static const struct bad_field bad_fields[] = {
	{"newer", make_newer, 5, FOUND(8, 0x9, "format version 0" MADE_BY)},
	{"must", make_must_feature, 5, FOUND(32, 0x4, FEATURES)},
	{"read-only", make_read_only_feature, 5, FOUND(40, 0x8, FEATURES)},
	{"machine", make_foreign_machine, 5, FOUND(64, 0xb7, "ELF machine 0x3e (x86-64)" ELSEWHERE)},
	{"endianness", make_foreign_endianness, 5, FOUND(66, 0x2, "1 (little endian)" ELSEWHERE)},
	{"class", make_foreign_class, 5, FOUND(67, 0x1, "2 (64-bit)" ELSEWHERE)},
	{"page", make_foreign_page, 5, FOUND(68, 0x10000, "a page size of 0x1000" ELSEWHERE)},
	{"base-odd", make_base_odd, 4, FOUND(72, 0x200000001000, "a 2 MiB-aligned user address" DAMAGED)},
	{"base-zero", make_base_zero, 4, FOUND(72, 0x0, "a 2 MiB-aligned user address" DAMAGED)},
	{"base-high", make_base_high, 4, FOUND(72, 0x800000000000, "a 2 MiB-aligned user address" DAMAGED)},
	{"size-odd", make_size_odd, 4, FOUND(80, 0x1000001, SIZES)},
	{"size-zero", make_size_zero, 4, FOUND(80, 0x0, SIZES)},
	{"size-huge", make_size_huge, 4, FOUND(80, 0xffffffffffe00000, SIZES)},
	{"size-wrong", make_size_wrong, 4, "superblock at offset 112: the heap's extents sum to 16777216 bytes, expected its size 18874368" DAMAGED},
	{"keep", make_keep_unknown, 4, FOUND(88, 0x4, "a keep of 0 to 3" DAMAGED)},
	{"no-extent", make_no_extent, 4, FOUND(104, 0x0, "1 to 0x80 extents" DAMAGED)},
	{"many-extents", make_many_extents, 4, FOUND(104, 0xffffffff, "1 to 0x80 extents" DAMAGED)},
	{"use-none", make_use_none, 4, FOUND(128, 0x0, "a use of 1 to 5" DAMAGED)},
	{"use-unknown", make_use_unknown, 4, FOUND(128, 0x6, "a use of 1 to 5" DAMAGED)},
	{"extent-reserved", make_extent_reserved, 4, FOUND(132, 0x1, "0" DAMAGED)},
	{"extent-in-head", make_extent_in_head, 4, FOUND(112, 0x0, OFFSETS)},
	{"extent-odd", make_extent_odd, 4, FOUND(112, 0x201000, OFFSETS)},
	{"extent-int64", make_extent_beyond_int64, 4, FOUND(112, 0x8000000000000000, OFFSETS)},
	{"len-overflow", make_extent_len_overflow, 4, FOUND(120, 0xffffffffffe00000, LENGTHS)},
	{"len-zero", make_extent_len_zero, 4, FOUND(120, 0x0, LENGTHS)},
	{"len-odd", make_extent_len_odd, 4, FOUND(120, 0x1000200, LENGTHS)},
	{"past-end", make_extent_past_end, 4, "truncated: found 18874368 bytes, expected 35651584" DAMAGED},
	{"overlap", make_overlap, 4, FOUND(136, 0x200000, "an extent that overlaps no other" DAMAGED)},
	{"unused-extent", make_unused_extent, 4, FOUND(144, 0x1, "0 in reserved bytes" DAMAGED)},
	{"reserved0", make_reserved_start, 4, FOUND(12, 0x1, "0 in reserved bytes" DAMAGED)},
	{"reserved1", make_reserved_middle, 4, FOUND(108, 0x1, "0 in reserved bytes" DAMAGED)},
	{"reserved2", make_reserved_end, 4, FOUND(4087, 0xff, "0 in reserved bytes" DAMAGED)},
};
/* clang-format on */

Test(superblock, each_bad_field_is_refused_with_its_line_though_its_checksum_is_right)
{
	for (size_t i = 0; i < sizeof(bad_fields) / sizeof(*bad_fields); i++) {
		const struct bad_field *bad = &bad_fields[i];
		const char *path = crafted_pool(bad->name);
		char line[sizeof(why.line)];
		snprintf(line, sizeof(line), "%s: %s", path, bad->line);
		crafted_change(path, bad->change);
		struct scratch_print before = scratch_print(path);
		for (int access = POOL_READ; access <= POOL_OWN; access++) {
			struct pool pool;
			int status = pool_open(&pool, path, (enum pool_access)access, &why);
			cr_assert_eq(status, bad->status, "%s: status %d", bad->name, status);
			cr_assert_str_eq(why.line, line);
		}
		struct scratch_print after = scratch_print(path);
		cr_assert(scratch_is_same(&before, &after), "%s: changed", bad->name);
		unlink(path);
	}
}

Test(superblock, features_one_may_ignore_are_ignored)
{
	const char *path = crafted_pool("a");
	struct layout_superblock sb;

	crafted_read(path, 0, &sb);
	sb.features_may = UINT64_MAX;
	crafted_write(path, 0, &sb);
	cr_assert_eq(try_open(path), 0, "%s", why.line);
}

/* Any one byte of the newest slot wrong: the other slot counts, and nobody hears of it. */
Test(superblock, a_torn_slot_leaves_the_other)
{
	const char *path = crafted_pool("a");
	struct layout_superblock good, bad;
	struct pool pool;

	crafted_read(path, 0, &good);
	for (size_t at = 0; at < sizeof(good); at += 61) {
		bad = good;
		((unsigned char *)&bad)[at] ^= 0x10;
		crafted_write_raw(path, 0, &bad);
		int status = pool_open(&pool, path, POOL_READ, &why);
		cr_assert_eq(status, 0, "byte %zu: %s", at, status ? why.line : "");
		cr_assert_eq(pool.sb.seq, 1);
		cr_assert_eq(pool.newest_slot, 1);
		pool_close(&pool);
	}
}

Test(superblock, both_slots_torn_is_corruption_with_found_and_expected)
{
	const char *path = crafted_pool("a");
	char line[sizeof(why.line)];
	unsigned long long sum = 0;

	for (int slot = 1; slot >= 0; slot--) {
		struct layout_superblock sb;
		crafted_read(path, slot, &sb);
		sb.uuid[3] ^= 1;
		crafted_write_raw(path, slot, &sb);
		sum = superblock_checksum(&sb);
		snprintf(line, sizeof(line),
			 "%s: superblock at offset 4088: found 0x%llx, expected checksum "
			 "0x%016llx" DAMAGED,
			 path, (unsigned long long)sb.checksum, sum);
	}
	struct scratch_print before = scratch_print(path);
	cr_assert_eq(try_open(path), STATUS_CORRUPT);
	cr_assert_str_eq(why.line, line);
	struct scratch_print after = scratch_print(path);
	cr_assert(scratch_is_same(&before, &after));
}

Test(superblock, a_block_copied_to_the_other_slot_is_refused)
{
	const char *path = crafted_pool("a");
	struct layout_superblock sb;

	crafted_read(path, 0, &sb);
	crafted_write(path, 1, &sb);
	sb.seq = 1;
	crafted_write(path, 0, &sb);
	cr_assert_eq(try_open(path), STATUS_CORRUPT);
}

/* Random blocks, sealed: whatever passes must be usable as it stands. */
Test(superblock, random_fields_never_pass_with_bounds_outside_the_file)
{
	const char *path = crafted_pool("a");
	struct layout_superblock good, sb;
	unsigned seed = 7;
	int passed = 0;

	crafted_read(path, 0, &good);
	for (int round = 0; round < 200000; round++) {
		sb = good;
		for (int change = 0; change < 3; change++) {
			size_t word = (size_t)rand_r(&seed) % 30;
			uint64_t value = (uint64_t)rand_r(&seed) << (rand_r(&seed) % 40);
			memcpy((char *)&sb + word * 8, &value, rand_r(&seed) % 9);
		}
		if (superblock_verify(&sb, 0, CRAFTED_BYTES + LAYOUT_HEAD_BYTES, path, &why))
			continue;
		passed++;
		for (uint32_t i = 0; i < sb.extent_count; i++)
			if (sb.extents[i].file_offset > CRAFTED_BYTES + LAYOUT_HEAD_BYTES ||
			    sb.extents[i].len > CRAFTED_BYTES)
				cr_assert_fail("round %d, extent %u", round, i);
		if (sb.size_bytes != CRAFTED_BYTES)
			cr_assert_fail("round %d, size", round);
	}
	cr_assert_gt(passed, 0);
}
