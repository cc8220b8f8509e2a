/* Metadata blocks: zeroed, apart from each other, and used again. */
#include "arena.h"

#include "heap/meta.h"

TestSuite(meta, .init = arena_open, .timeout = 100);

static bool is_zero(const char *p, size_t bytes)
{
	return p[0] == 0 && memcmp(p, p + 1, bytes - 1) == 0;
}

Test(meta, blocks_are_zero_aligned_and_apart)
{
	arena_seed();
	static struct {
		uint64_t offset;
		size_t bytes;
	} blocks[500];
	for (int i = 0; i < 20000; i++) {
		const size_t n = arena_random(500);
		if (blocks[n].offset) {
			const char *p = heap_pointer(blocks[n].offset);
			for (size_t at = 0; at < blocks[n].bytes; at++)
				cr_assert_eq(p[at], (char)n, "somebody else wrote here");
			meta_free(blocks[n].offset, blocks[n].bytes);
			blocks[n].offset = 0;
			continue;
		}
		blocks[n].bytes = 1 + arena_random(arena_random(20) ? META_BLOCK_MAX : 200000);
		blocks[n].offset = meta_new(blocks[n].bytes);
		cr_assert(blocks[n].offset != 0 && blocks[n].offset % 64 == 0);
		char *p = heap_pointer(blocks[n].offset);
		cr_assert(is_zero(p, blocks[n].bytes));
		memset(p, (int)n, blocks[n].bytes);
	}
	arena_assert_whole();
}

Test(meta, a_block_is_used_again_for_its_size)
{
	for (size_t bytes = 1; bytes <= META_BLOCK_MAX; bytes += 63) {
		const uint64_t offset = meta_new(bytes);
		memset(heap_pointer(offset), 0xff, bytes);
		meta_free(offset, bytes);
		cr_assert_eq(meta_new(bytes), offset);
		cr_assert(is_zero(heap_pointer(offset), bytes));
	}
}

Test(meta, the_rest_of_a_span_is_not_lost)
{
	uint64_t used = 0;
	size_t blocks = 0;
	while (state.header->used_pages <= 64 * 20) {
		cr_assert_neq(meta_new(2112), 0); /* does not divide a span */
		used += 2112;
		blocks++;
	}
	for (size_t bytes = 64; bytes < 2112; bytes += 64)
		while (state.header->meta_free[bytes / 64]) {
			cr_assert_neq(meta_new(bytes), 0);
			used += bytes;
		}
	cr_assert_geq(used, 64 * 20 * HEAP_PAGE_BYTES, "%zu blocks", blocks);
	arena_assert_whole();
}

Test(meta, long_blocks_go_back_whole)
{
	const uint64_t offset = meta_new(150000);
	memset(heap_pointer(offset), 0xff, 150000);
	meta_free(offset, 150000);
	cr_assert_eq(state.header->used_pages, 0);
	cr_assert_eq(meta_new(140000), offset);
	cr_assert(is_zero(heap_pointer(offset), 140000), "though the pages were dirty");
	arena_assert_whole();
}

Test(meta, without_memory_there_is_none)
{
	arena.open_bytes_max = arena.open_bytes;
	cr_assert_eq(meta_new(64), 0);
	cr_assert_eq(meta_new(100000), 0);
	arena.open_bytes_max = SIZE_MAX;
	cr_assert_neq(meta_new(64), 0);
	arena_assert_whole();
}
