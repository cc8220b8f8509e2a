/* Large blocks: spans of one slot, resized in place, faulted in when they will be written. */
#include "arena.h"

#include "heap/large.h"

TestSuite(large, .init = arena_open, .timeout = 100);

Test(large, any_alignment_to_4_mib_with_any_size)
{
	static const size_t sizes[] = {0, 1, 4096, 4097, 40000, MIB, 4 * MIB, 4 * MIB + 1, 9 * MIB};
	void *blocks[16 * 9];
	size_t count = 0;
	bool is_zero;
	for (size_t align = 1; align <= 1024; align *= 2)
		for (size_t i = 0; i < 9; i++) {
			char *p = large_alloc(sizes[i], align, &is_zero);
			cr_assert(p && (uintptr_t)p % (align * 4096) == 0);
			cr_assert(is_zero);
			if (sizes[i])
				p[0] = p[sizes[i] - 1] = 1;
			blocks[count++] = p;
			if (arena_stats().large_bytes > 300 * MIB)
				while (count)
					heap_free(blocks[--count]);
			heap_trim();
		}
	arena_assert_whole();
}

Test(large, a_block_of_used_pages_is_not_taken_for_zero)
{
	bool is_zero;
	char *p = large_alloc(MIB, 1, &is_zero), *fence = large_alloc(1, 2, &is_zero);
	(void)fence;
	memset(p, 1, MIB);
	heap_free(p);
	cr_assert_eq(large_alloc(MIB, 1, &is_zero), p);
	cr_assert_not(is_zero);
	heap_free(p);
	heap_trim();
	cr_assert_eq(large_alloc(MIB, 1, &is_zero), p);
	cr_assert(is_zero, "given back and had again");
	cr_assert_eq(p[500], 0);
}

Test(large, a_moved_block_is_faulted_in_once)
{
	char *p = heap_alloc(MIB);
	(void)heap_alloc(MIB);
	const size_t before = arena.populate_calls;
	p = heap_realloc(p, 2 * MIB);
	cr_assert_eq(arena.populate_calls, before + 1);
	(void)heap_realloc(p, 2 * MIB - 5);
	heap_free(heap_alloc(MIB));
	cr_assert_eq(arena.populate_calls, before + 1);
}

Test(large, room_left_for_growth_is_used_before_anything_moves)
{
	char *p = heap_alloc(MIB);
	(void)heap_alloc(MIB);
	p = heap_realloc(p, 2 * MIB);
	(void)heap_alloc(MIB);
	const size_t room = heap_usable_size(p);
	cr_assert_geq(room, 2 * MIB + 2 * MIB / 5);
	for (size_t size = 2 * MIB; size <= room; size += 4096)
		cr_assert_eq(heap_realloc(p, size), p);
	arena_assert_whole();
}

Test(large, a_block_that_shrinks_gives_its_tail_back)
{
	char *p = heap_alloc(MIB);
	cr_assert_eq(heap_realloc(p, MIB / 2), p);
	cr_assert_eq(heap_usable_size(p), MIB / 2);
	cr_assert_eq(arena_stats().dirty_bytes, MIB / 2);
	arena_assert_whole();
}
