/* heap_find_block(): every byte of a live block leads to it, nothing else leads anywhere, and no
 * bytes of a heap make it look outside. */
#include "shadow.h"

#include "heap/heap-layout.h"

TestSuite(heap_find, .init = arena_open, .timeout = 100);

static void *start;
static size_t bytes;

static void assert_found(const char *p, size_t size)
{
	const size_t offsets[] = {0, 1, size / 2, size - 1};
	for (size_t i = 0; i < 4; i++) {
		cr_assert(heap_find_block(p + offsets[i], &start, &bytes), "byte %zu of %zu",
			  offsets[i], size);
		cr_assert_eq(start, p);
		cr_assert_eq(bytes, heap_usable_size(p));
	}
}

Test(heap_find, every_byte_of_a_live_block_leads_to_it)
{
	for (size_t size = 1; size < 4 * MIB; size += size / 3 + 1) {
		char *before = heap_alloc(size), *p = heap_alloc(size), *after = heap_alloc(size);
		assert_found(before, size);
		assert_found(p, size);
		assert_found(after, size);
	}
}

Test(heap_find, what_is_freed_leads_nowhere)
{
	for (size_t size = 1; size < 4 * MIB; size += size / 3 + 1) {
		char *p = heap_alloc(size);
		heap_free(p);
		cr_assert_not(heap_find_block(p, &start, &bytes), "%zu", size);
		cr_assert_not(heap_find_block(p + size - 1, &start, &bytes), "%zu", size);
	}
}

Test(heap_find, addresses_that_are_no_blocks_lead_nowhere)
{
	int local;
	(void)heap_alloc(100);
	cr_assert_not(heap_find_block(NULL, &start, &bytes));
	cr_assert_not(heap_find_block(&local, &start, &bytes));
	cr_assert_not(heap_find_block(arena.base, &start, &bytes), "the heap's own header");
	cr_assert_not(heap_find_block(arena.base - 1, &start, &bytes));
	cr_assert_not(heap_find_block(heap_range.base + heap_range.size, &start, &bytes));
	cr_assert_not(heap_find_block((void *)UINTPTR_MAX, &start, &bytes));
	heap_destroy();
	cr_assert_not(heap_find_block(arena.base, &start, &bytes), "no heap");
}

Test(heap_find, it_agrees_with_what_the_program_has, .init = shadow_open)
{
	for (int i = 0; i < 20000; i++)
		cr_assert(shadow_step(SHADOW_BLOCKS));
	size_t live = 0;
	for (char *p = heap_range.base; p < heap_range.base + heap_range.size;) {
		if (!heap_find_block(p, &start, &bytes)) {
			p += 16;
			continue;
		}
		cr_assert_eq(start, p, "met at its first byte");
		live++;
		p += bytes;
	}
	cr_assert_eq(live, arena_stats().live_blocks);
}

/* Whatever stands in the tables: an answer, and no fault. */
Test(heap_find, any_bytes_in_the_tables_do)
{
	arena_seed();
	for (int i = 0; i < 1000; i++)
		cr_assert(heap_alloc(arena_random_size()));
	const struct layout_heap *header = (const struct layout_heap *)arena.base;
	const size_t used = header->span_top * sizeof(struct layout_span);
	const size_t mapped = header->data_end / HEAP_PAGE_BYTES * sizeof(uint32_t);
	for (int round = 0; round < 300; round++) {
		arena.base[header->spans + arena_random(used)] = (char)arena_random(256);
		arena.base[header->pagemap + arena_random(mapped)] = (char)arena_random(256);
		for (int i = 0; i < 300; i++) {
			const char *p = heap_range.base + arena_random(heap_range.size);
			if (heap_find_block(p, &start, &bytes))
				cr_assert((char *)start <= p && p < (char *)start + bytes);
		}
	}
}
