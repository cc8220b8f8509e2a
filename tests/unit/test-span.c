/* Spans: pages are handed out once, joined when freed, given back and asked for again. */
#include "arena.h"

#include "lock.h"
#include "heap/span-file.h"
#include "heap/span.h"

TestSuite(span, .init = arena_open, .timeout = 100);

/* The page lock is for other threads: there are none. */

static struct layout_span *span_take(uint32_t pages, uint32_t align_pages)
{
	struct layout_span *span = span_new(pages, align_pages, SPAN_LARGE);
	if (span) {
		span->inverse = 1;
		span->states = &span->large_state;
		span->large_state = SLOT_LIVE;
	}
	return span;
}

static size_t count_kind(enum span_kind kind)
{
	size_t count = 0;
	for (uint32_t id = 1; id < state.header->span_top; id++)
		count += state.spans[id].kind == kind;
	return count;
}

Test(span, pieces_freed_in_any_order_join_into_one)
{
	static const int orders[][4] = {{0, 1, 2, 3}, {3, 2, 1, 0}, {1, 3, 0, 2}, {0, 2, 1, 3},
					{2, 0, 3, 1}, {1, 2, 0, 3}};
	for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
		struct layout_span *spans[4];
		for (int n = 0; n < 4; n++)
			spans[n] = span_take((uint32_t)n + 1, 1);
		struct layout_span *fence = span_take(1, 1);
		for (int n = 0; n < 4; n++) {
			span_release(spans[orders[i][n]]);
			arena_assert_whole();
		}
		cr_assert_eq(count_kind(SPAN_FREE_DIRTY), 1);
		cr_assert_eq(state.header->dirty_pages, 10);
		span_release(fence);
		cr_assert(span_purge_all());
		arena_assert_whole();
		cr_assert_eq(count_kind(SPAN_FREE_CLEAN), 1, "with the rest of what was opened");
	}
}

Test(span, dirty_pages_are_used_first)
{
	struct layout_span *span = span_take(10, 1);
	char *start = span->start;
	cr_assert(span->flags & SPAN_ZERO, "fresh pages are zero");
	(void)span_take(1, 1);
	span_release(span);
	span = span_take(4, 1);
	cr_assert_eq(span->start, start);
	cr_assert_not(span->flags & SPAN_ZERO, "these have been used");
	arena_assert_whole();
}

Test(span, the_smallest_that_fits_is_cut)
{
	struct layout_span *wide = span_take(200, 1);
	(void)span_take(1, 1);
	struct layout_span *narrow = span_take(12, 1);
	(void)span_take(1, 1);
	char *start = narrow->start;
	span_release(wide);
	span_release(narrow);
	cr_assert_eq(span_take(10, 1)->start, start);
	arena_assert_whole();
}

Test(span, alignments_are_kept_and_leave_nothing_behind)
{
	for (uint32_t align = 1; align <= 1024; align *= 2) {
		struct layout_span *spans[8];
		for (uint32_t i = 0; i < 8; i++) {
			spans[i] = span_take(i + 1, align);
			cr_assert_eq((uintptr_t)spans[i]->start % (align * HEAP_PAGE_BYTES), 0);
			cr_assert_eq(spans[i]->page_count, i + 1);
		}
		arena_assert_whole();
		for (uint32_t i = 0; i < 8; i++)
			span_release(spans[i * 3 % 8]);
		arena_assert_whole();
		cr_assert_eq(state.header->used_pages, 0);
	}
}

Test(span, growth_takes_steps)
{
	for (int i = 0; i < 10000; i++)
		cr_assert_not_null(span_take(3, 1));
	cr_assert_lt(arena.grow_calls, 120, "%zu calls", arena.grow_calls);
	arena_assert_whole();
}

Test(span, a_growth_refused_is_tried_again_with_less)
{
	(void)span_take(256, 1);
	arena.open_bytes_max = arena.open_bytes + 10 * HEAP_PAGE_BYTES;
	cr_assert_not_null(span_take(10, 1), "ten pages are there, a step is not");
	cr_assert_null(span_take(10, 1));
	arena_assert_whole();
}

Test(span, too_many_dirty_pages_are_given_back_oldest_first)
{
	struct layout_span *spans[40];
	for (int i = 0; i < 40; i++) {
		spans[i] = span_take(1024, 1);
		(void)span_take(1, 1);
	}
	char *oldest = spans[0]->start;
	for (int i = 0; i < 40; i++)
		span_release(spans[i]);
	/* Half of the 160 MiB that were in use of late. */
	cr_assert_leq(state.header->dirty_pages * HEAP_PAGE_BYTES, 81 * MIB);
	cr_assert_geq(state.header->dirty_pages * HEAP_PAGE_BYTES, 76 * MIB);
	cr_assert_not(arena.is_open[(size_t)(oldest - arena.base) / 4096]);
	arena_assert_whole();
}

Test(span, old_dirty_pages_are_given_back)
{
	struct layout_span *span = span_take(10, 1);
	(void)span_take(1, 1);
	struct layout_span *other = span_take(10, 1);
	(void)span_take(1, 1);
	span_release(span);
	span->released_s -= 11;
	cr_assert_eq(arena.purge_calls, 0);
	span_release(other);
	cr_assert_eq(arena.purge_calls, 1, "the old one alone");
	cr_assert_eq(state.header->dirty_pages, 10);
	arena_assert_whole();
}

Test(span, pages_that_were_given_back_are_asked_for_again)
{
	struct layout_span *span = span_take(100, 1);
	(void)span_take(1, 1);
	while (span_find(SPAN_FREE_CLEAN, 1, SPAN_TRIES))
		(void)span_take(1, 1);
	span_release(span);
	cr_assert(span_purge_all());
	cr_assert_not(span_purge_all());
	const size_t before = arena.grow_calls;
	span = span_take(50, 1);
	cr_assert_eq(arena.grow_calls, before + 1);
	cr_assert(span->flags & SPAN_ZERO);
	memset(span->start, 1, 50 * HEAP_PAGE_BYTES);
	cr_assert_not_null(span_take(50, 1));
	cr_assert_eq(arena.grow_calls, before + 1, "small ones are opened whole");
	cr_assert_null((arena.open_bytes_max = 0, span_take(50, 1)), "or there are none");
	arena.open_bytes_max = SIZE_MAX;
	cr_assert_not_null(span_take(50, 1));
	arena_assert_whole();
}

/* It once gave everything back each time, for a program that tries again and again. */
Test(span, a_request_that_can_never_be_served_gives_nothing_back)
{
	struct layout_span *span = span_take(500, 1);
	(void)span_take(1, 1);
	span_release(span);
	cr_assert_null(span_take(heap_page_of(state.limit), 1));
	cr_assert_eq(arena.purge_calls, 0);
	cr_assert_eq(state.header->dirty_pages, 500);
	arena_assert_whole();
}

/* The range is full; a span that fits stands behind many of its bin that are a little shorter. */
Test(span, the_last_fitting_span_is_found)
{
	heap_destroy();
	arena_open_size(32 * MIB);
	struct layout_span *spans[40];
	for (int i = 0; i < 40; i++) {
		spans[i] = span_take(i == 0 ? 71 : 64, 1);
		(void)span_take(1, 1);
	}
	while (span_take(1, 1))
		;
	for (int i = 0; i < 40; i++)
		span_release(spans[i]);
	cr_assert_not_null(span_take(71, 1));
	arena_assert_whole();
}

/* Every block alone on an aligned page: more spans than records. What cannot be cut exactly is
 * not handed out at all, so that a slab is as long as its class says. */
Test(span, without_records_the_heap_is_full_and_whole)
{
	heap_destroy();
	arena_open_size(16 * MIB);
	void *blocks[4096];
	size_t count = 0;
	while ((blocks[count] = heap_alloc_aligned(8192, 1)) != NULL)
		count++;
	cr_assert_gt(count, 1800, "most of the heap is used");
	while (count > 900)
		heap_free(blocks[--count]);
	heap_trim();
	while ((blocks[count] = heap_alloc_aligned((size_t)65536 >> count % 4, 1)) != NULL)
		count++;
	arena_assert_whole();
	while (heap_alloc(50))
		;
	while (heap_alloc(2000))
		;
	arena_assert_whole();
	while (count)
		heap_free(blocks[--count]);
	arena_assert_whole();
	cr_assert_not_null(heap_alloc(MIB));
}

Test(span, a_block_grows_into_what_is_free_behind_it)
{
	struct layout_span *span = span_take(10, 1), *next = span_take(10, 1);
	struct layout_span *fence = span_take(1, 1);
	cr_assert_not(span_extend(span, 11), "the next one is in use");
	span_release(next);
	cr_assert(span_extend(span, 15), "dirty pages do");
	cr_assert_not(span->flags & SPAN_ZERO, "and are not zero");
	arena_assert_whole();
	cr_assert(span_extend(span, 20));
	cr_assert_not(span_extend(span, 21));
	span_shrink(span, 5);
	arena_assert_whole();
	cr_assert_eq(span->page_count, 5);
	cr_assert(span_purge_all());
	cr_assert_not((arena.open_bytes_max = 0, span_extend(span, 20)), "purged pages may be refused");
	arena_assert_whole();
	arena.open_bytes_max = SIZE_MAX;
	cr_assert(span_extend(span, 20));
	memset(span->start, 1, 20 * HEAP_PAGE_BYTES);
	cr_assert(span_extend(fence, 5000), "the last one grows the heap");
	memset(fence->start, 1, 5000 * HEAP_PAGE_BYTES);
	cr_assert_not(span_extend(fence, 1 << 20), "but not beyond its end");
	arena_assert_whole();
}

Test(span, tables_that_cannot_be_opened_leave_a_whole_heap)
{
	/* Each of the steps that open a table is one that must fail once. */
	for (size_t n = 1; n < 40; n++) {
		heap_destroy();
		munmap(arena.base, arena.size);
		arena_open();
		arena.grow_fails_at = n;
		arena.grow_fails_more = 1;
		size_t blocks = 0;
		for (int i = 0; i < 3000; i++)
			blocks += heap_alloc_aligned((size_t)65536 << i % 2, 1) != NULL;
		arena.grow_fails_at = arena.grow_fails_more = 0;
		cr_assert_geq(blocks, 2990);
		arena_assert_whole();
	}
}

Test(span, a_surplus_the_system_refuses_stays)
{
	struct layout_span *spans[40];
	for (int i = 0; i < 40; i++) {
		spans[i] = span_take(1024, 1);
		(void)span_take(1, 1);
	}
	arena.purge_fails = true;
	for (int i = 0; i < 40; i++)
		span_release(spans[i]);
	cr_assert_eq(state.header->dirty_pages, 40 * 1024);
	arena_assert_whole();
	arena.purge_fails = false;
	spans[0] = span_take(1, 1);
	span_release(spans[0]);
	cr_assert_leq(state.header->dirty_pages, 20 * 1024 + 64, "the next release tries again");
	arena_assert_whole();
}

/* Uses up all records; what is free stays in pieces. */
static struct layout_span *exhaust_records(void)
{
	struct layout_span *wide = span_take(600, 1);
	(void)span_take(1, 1);
	for (uint32_t align = 256; align >= 2; align /= 2)
		while (span_take(1, align))
			;
	cr_assert_eq(state.header->span_top, state.header->span_capacity);
	return wide;
}

Test(span, without_records_nothing_is_cut_aligned_or_shrunk)
{
	heap_destroy();
	arena_open_size(16 * MIB);
	struct layout_span *wide = exhaust_records();
	while (state.header->span_free != 0)
		cr_assert_not_null(span_take(1, 1));
	span_shrink(wide, 10);
	cr_assert_eq(wide->page_count, 600, "it stays as it is");
	arena_assert_whole();
	span_release(wide);
	cr_assert_null(span_take(10, 1));
	cr_assert_null(span_take(10, 128));
	arena_assert_whole();
	cr_assert_not_null(span_take(600, 1), "exactly that needs no record");
	arena_assert_whole();
}

Test(span, a_block_before_used_pages_at_the_end_does_not_grow_over_them)
{
	struct layout_span *span = span_take(10, 1), *next = span_take(246, 1);
	cr_assert_eq(heap_start_of(next) + 246 * HEAP_PAGE_BYTES, state.header->data_end);
	span_release(next);
	cr_assert_not(span_extend(span, 300), "dirty pages and fresh ones are not one span");
	arena_assert_whole();
	cr_assert_eq(span->page_count, 10);
}
