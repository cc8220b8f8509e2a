/* The heap as its callers see it: sizes, alignments, contents, and what happens at its end. */
#include "shadow.h"

#include <errno.h>

TestSuite(heap, .init = arena_open, .timeout = 100);

Test(heap, every_size_is_served_in_full_and_aligned)
{
	for (size_t size = 0; size <= 200000; size++) {
		unsigned char *p = heap_alloc(size);
		cr_assert(p && (uintptr_t)p % 16 == 0, "size %zu", size);
		cr_assert_geq(heap_usable_size(p), size);
		if (size) {
			p[0] = 1;
			p[size - 1] = 1;
		}
		heap_free(p);
	}
	arena_assert_whole();
	cr_assert_eq(arena_stats().live_blocks, 0);
}

Test(heap, every_alignment_is_kept_with_every_size)
{
	static const size_t sizes[] = {0, 1, 8, 24, 100, 512, 1000, 4095, 4096, 4097, 20000, 28673,
				       32767, 32768, 32769, 100000, MIB, 5 * MIB};
	for (size_t alignment = 1; alignment <= 4 * MIB; alignment *= 2) {
		void *kept[2 * sizeof(sizes) / sizeof(sizes[0])];
		size_t count = 0;
		shadow_open();
		for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
			const size_t size = sizes[i / 2];
			unsigned char *p = heap_alloc_aligned(alignment, size);
			cr_assert(p && (uintptr_t)p % alignment == 0, "%zu %zu", alignment, size);
			cr_assert_geq(heap_usable_size(p), size);
			memset(p, 0xa5, size);
			shadow_mark(p, heap_usable_size(p), 1);
			kept[count++] = p;
		}
		arena_assert_whole();
		while (count)
			heap_free(kept[--count]);
	}
	cr_assert_eq(arena_stats().live_blocks, 0);
}

Test(heap, what_cannot_be_is_refused)
{
	static const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 15, SIZE_MAX / 2, (size_t)1 << 44,
				       (size_t)1 << 43, ((size_t)1 << 44) - 4096};
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		cr_assert_null(heap_alloc(sizes[i]));
		cr_assert_null(heap_alloc_zeroed(sizes[i]));
		for (size_t alignment = 16; alignment != 0; alignment *= 2)
			cr_assert_null(heap_alloc_aligned(alignment, sizes[i]));
	}
	for (size_t alignment = (size_t)1 << 30; alignment != 0; alignment *= 2)
		cr_assert_null(heap_alloc_aligned(alignment, 1));
	cr_assert_eq(arena.alloc_failures, sizeof(sizes) / sizeof(sizes[0]),
		     "heap_alloc alone tells of failures");
	void *p = heap_alloc(100000);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		cr_assert_null(heap_realloc(p, sizes[i]));
	heap_free(p);
	arena_assert_whole();
}

Test(heap, a_heap_wants_a_range_it_can_use)
{
	heap_destroy();
	cr_assert_eq(heap_create(&arena_memory, arena.base, HEAP_SIZE_MIN - 4096, HEAP_SIZE_MIN - 4096),
		     -EINVAL);
	cr_assert_eq(heap_create(&arena_memory, arena.base, 64 * MIB, 65 * MIB), -EINVAL);
	cr_assert_eq(heap_create(&arena_memory, arena.base, 64 * MIB, MIB), -EINVAL);
	cr_assert_eq(heap_create(&arena_memory, arena.base, (size_t)1 << 45, 64 * MIB), -EINVAL);
	/* The tables of so large a range would not fit below the limit. */
	cr_assert_eq(heap_create(&arena_memory, arena.base, (size_t)1 << 42, 512 * MIB), -EINVAL);
	cr_assert_eq(heap_range.size, 0);
}

Test(heap, creation_fails_as_its_memory_does)
{
	heap_destroy();
	for (size_t n = 1;; n++) {
		arena_reserve(64 * MIB, PROT_NONE);
		arena.grow_fails_at = n;
		const int error = heap_create(&arena_memory, arena.base, 64 * MIB, 64 * MIB);
		if (!error)
			break;
		cr_assert_eq(error, -ENOSPC);
		cr_assert_eq(heap_range.size, 0);
		cr_assert_lt(n, 10);
	}
	arena_assert_whole();
}

Test(heap, a_limit_inside_a_page_is_kept)
{
	heap_destroy();
	arena_reserve(64 * MIB, PROT_NONE);
	cr_assert_eq(heap_create(&arena_memory, arena.base, 64 * MIB - 100, 32 * MIB + 100), 0);
	while (heap_alloc(10000))
		;
	cr_assert_leq(arena_stats().open_bytes, 32 * MIB);
	arena_assert_whole();
}

Test(heap, random_histories_never_overlap)
{
	arena_seed();
	shadow_open();
	for (int round = 0; round < 4; round++) {
		for (int i = 0; i < 60000; i++)
			cr_assert(shadow_step(400u << round));
		arena_assert_whole();
		cr_assert_eq(arena_stats().live_blocks, shadow.live_blocks);
	}
	shadow_free_all();
	arena_assert_whole();
	const struct heap_stats stats = arena_stats();
	cr_assert_eq(stats.live_bytes, 0);
	cr_assert_eq(stats.large_blocks, 0);
}

Test(heap, freed_memory_is_used_again)
{
	static const size_t sizes[] = {16, 100, 1000, 10000, 32768, 32769, 300000, 3 * MIB};
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		heap_free(heap_alloc(sizes[i]));
		const size_t open = arena_stats().open_bytes;
		for (int n = 0; n < 10000; n++)
			heap_free(heap_alloc(sizes[i]));
		cr_assert_eq(arena_stats().open_bytes, open, "size %zu", sizes[i]);
	}
}

Test(heap, zeroed_memory_is_zero_where_others_wrote_before)
{
	arena_seed();
	for (int round = 0; round < 2000; round++) {
		const size_t size = arena_random_size();
		unsigned char *p = heap_alloc(size);
		memset(p, 0xff, heap_usable_size(p));
		heap_free(p);
		if (round % 500 == 0)
			heap_trim();
		p = heap_alloc_zeroed(size);
		cr_assert(shadow_is_zero(p, size));
		heap_free(p);
	}
}

/* What the arena sees of a trim: everything unused is given back, and asked for again. */
Test(heap, trimmed_memory_is_given_back_and_asked_for_again)
{
	arena_seed();
	shadow_open();
	for (int i = 0; i < 30000; i++)
		cr_assert(shadow_step(1000));
	const size_t peak = arena.open_bytes;
	shadow_free_all();
	cr_assert(heap_trim());
	const struct heap_stats stats = arena_stats();
	cr_assert_eq(stats.dirty_bytes, 0);
	cr_assert_eq(stats.cached_bytes, 0);
	cr_assert_eq(stats.live_blocks, 0);
	cr_assert_lt(arena.open_bytes, peak / 2);
	cr_assert_not(heap_trim(), "nothing is left to give back");
	arena_assert_whole();
	for (int i = 0; i < 30000; i++)
		cr_assert(shadow_step(1000));
	shadow_free_all();
	arena_assert_whole();
}

Test(heap, a_trimmed_empty_heap_holds_nothing_but_metadata)
{
	arena_seed();
	shadow_open();
	for (int i = 0; i < 30000; i++)
		cr_assert(shadow_step(1000));
	shadow_free_all();
	heap_trim();
	uint64_t meta_pages = 0;
	for (uint32_t id = 1; id < state.header->span_top; id++) {
		const struct layout_span *span = &state.spans[id];
		cr_assert(span->kind == SPAN_UNUSED || span->kind == SPAN_META ||
			  span->kind == SPAN_FREE_CLEAN || span->kind == SPAN_FREE_PURGED);
		meta_pages += span->kind == SPAN_META ? span->page_count : 0;
	}
	cr_assert_eq(state.header->used_pages, meta_pages);
	cr_assert_leq(meta_pages * HEAP_PAGE_BYTES, 2 * MIB);
	arena_assert_whole(); /* and neighbours of a kind are joined */
}

Test(heap, at_the_end_there_is_no_memory_and_frees_bring_it_back)
{
	static const size_t sizes[] = {48, 5000, 200000};
	heap_destroy();
	arena_open_size(32 * MIB);
	size_t first_count[3] = {0};
	for (int round = 0; round < 9; round++) {
		const size_t size = sizes[round % 3];
		void **list = NULL;
		size_t count = 0;
		for (void **p; (p = heap_alloc(size)) != NULL; count++) {
			*p = list;
			list = p;
		}
		cr_assert_null(heap_alloc(size));
		cr_assert_null(heap_alloc_zeroed(MIB));
		arena_assert_whole();
		cr_assert_geq(count * size, 25 * MIB, "%zu of %zu", count, size);
		if (first_count[round % 3])
			cr_assert_geq(count * 100, first_count[round % 3] * 99, "memory got lost");
		else
			first_count[round % 3] = count;
		while (list) {
			void **next = *list;
			heap_free(list);
			list = next;
		}
		arena_assert_whole();
		heap_trim();
	}
	cr_assert_gt(arena.alloc_failures, 0);
	cr_assert_eq(arena_stats().live_blocks, 0);
}

Test(heap, growth_stops_where_its_memory_does)
{
	arena.open_bytes_max = 20 * MIB;
	size_t got = 0;
	while (heap_alloc(10000))
		got += 10000;
	cr_assert_geq(got, 18 * MIB, "%zu", got);
	arena_assert_whole();
	arena.open_bytes_max = 40 * MIB;
	cr_assert_not_null(heap_alloc(10 * MIB), "it goes on when there is room again");
	arena_assert_whole();
}

/* A scripted history that needs every kind of growth; returns whether all went well. */
static bool run_script(void)
{
	void *blocks[300] = {NULL};
	bool ok = true;
	for (size_t i = 0; i < 300; i++) {
		const size_t size = (i * 7919) % 60000 + (i % 25 == 0 ? 600000 : 0) + 1;
		blocks[i] = i % 9 == 0 ? heap_alloc_aligned((size_t)4096 << i % 5, size) : heap_alloc(size);
		if (blocks[i])
			memset(blocks[i], (int)i, size);
		ok &= blocks[i] != NULL;
		if (i % 3 == 2 && blocks[i - 1]) {
			void *moved = heap_realloc(blocks[i - 1], size * 2 + 1);
			blocks[i - 1] = moved ? moved : blocks[i - 1];
			ok &= moved != NULL;
		}
		if (i % 50 == 49)
			heap_trim();
	}
	for (size_t i = 0; i < 300; i++)
		if (blocks[i])
			heap_free(blocks[i]);
	return ok;
}

/* Lets `more` + 1 calls in a row fail, the first call first, then the second, until the script
 * has fewer. Returns in how many runs the script felt it. */
static size_t run_failing(size_t more)
{
	size_t failed = 0;
	for (size_t n = 1;; n++) {
		heap_destroy();
		munmap(arena.base, arena.size);
		arena_open_size(64 * MIB);
		arena.grow_fails_at = n;
		arena.grow_fails_more = more;
		failed += !run_script();
		const bool is_done = arena.grow_fails_at != 0;
		arena.grow_fails_at = arena.grow_fails_more = 0;
		arena_assert_whole();
		cr_assert_eq(arena_stats().live_blocks, 0, "call %zu", n);
		cr_assert(run_script(), "all is well again after failure of call %zu", n);
		arena_assert_whole();
		if (is_done)
			return failed;
		cr_assert_lt(n, 2000);
	}
}

Test(heap, failure_of_any_one_growth_leaves_a_whole_heap)
{
	(void)run_failing(0);
}

Test(heap, failure_of_any_two_growths_leaves_a_whole_heap)
{
	(void)run_failing(1); /* a megabyte fails, then what is needed: giving back may help */
}

Test(heap, failure_of_any_ten_growths_leaves_a_whole_heap)
{
	cr_assert_gt(run_failing(9), 5, "failures were felt");
}

Test(heap, everything_from_some_growth_on_failing_leaves_a_whole_heap)
{
	for (size_t most = 2 * MIB; most < 12 * MIB; most += 300 * KIB) {
		heap_destroy();
		munmap(arena.base, arena.size);
		arena_open_size(64 * MIB);
		arena.open_bytes_max = most & ~(size_t)4095;
		cr_assert_not(run_script());
		arena_assert_whole();
		cr_assert_eq(arena_stats().live_blocks, 0);
	}
}

Test(heap, memory_that_cannot_be_given_back_stays_usable)
{
	arena.purge_fails = true;
	for (int round = 0; round < 3; round++)
		cr_assert(run_script());
	cr_assert_gt(arena.purge_calls, 0);
	cr_assert_gt(arena_stats().dirty_bytes, 0);
	cr_assert_not(heap_trim());
	arena_assert_whole();
	arena.purge_fails = false;
	cr_assert(heap_trim());
	cr_assert_eq(arena_stats().dirty_bytes, 0);
	arena_assert_whole();
}

Test(heap, a_block_resized_keeps_its_bytes)
{
	static const size_t sizes[] = {1, 16, 17, 100, 1000, 4096, 32768, 32769, 50000, MIB, 6 * MIB};
	const size_t count = sizeof(sizes) / sizeof(sizes[0]);
	for (size_t from = 0; from < count; from++)
		for (size_t to = 0; to < count; to++) {
			const size_t least = sizes[from] < sizes[to] ? sizes[from] : sizes[to];
			unsigned char *p = heap_alloc(sizes[from]);
			for (size_t i = 0; i < sizes[from]; i++)
				p[i] = (unsigned char)(i * 31 >> 3);
			p = heap_realloc(p, sizes[to]);
			cr_assert_geq(heap_usable_size(p), sizes[to]);
			for (size_t i = 0; i < least; i++)
				cr_assert_eq(p[i], (unsigned char)(i * 31 >> 3), "%zu to %zu, byte %zu",
					     sizes[from], sizes[to], i);
			memset(p, 0xee, sizes[to]);
			heap_free(p);
		}
	arena_assert_whole();
}

Test(heap, a_large_block_grows_and_shrinks_in_place_where_it_can)
{
	void *p = heap_alloc(MIB);
	cr_assert_eq(heap_realloc(p, 8 * MIB), p, "nobody stands behind it");
	cr_assert_eq(heap_realloc(p, MIB), p);
	cr_assert_eq(arena_stats().large_bytes, MIB, "the rest is free again");
	cr_assert_eq(heap_realloc(p, 50000), p);
	void *fence = heap_alloc(40000);
	cr_assert_eq((char *)p + 53248, fence);
	cr_assert_neq(heap_realloc(p, 9 * MIB), p);
	arena_assert_whole();
}

Test(heap, a_small_block_that_still_fits_stays)
{
	char *p = heap_alloc(1000);
	for (size_t size = heap_usable_size(p); size >= 600; size--)
		cr_assert_eq(heap_realloc(p, size), p);
	char *small = heap_realloc(p, 20);
	cr_assert_lt(heap_usable_size(small), 100, "a block that shrank a lot gives its slot back");
}

/* Appending byte by byte, two blocks in turn so that neither can grow where it is. */
Test(heap, growing_step_by_step_moves_a_logarithmic_number_of_times)
{
	char *blocks[2] = {heap_alloc(1), heap_alloc(1)};
	unsigned moves = 0;
	for (size_t size = 2; size < 4 * MIB; size += size < 40000 ? 1 : 64) {
		char **block = &blocks[size / 64 % 2];
		char *now = heap_realloc(*block, size);
		moves += now != *block;
		*block = now;
	}
	cr_assert_lt(moves, 2 * (72 + 40), "%u moves", moves);
	arena_assert_whole();
}

Test(heap, a_resize_without_memory_leaves_the_block_alone)
{
	heap_destroy();
	arena_open_size(32 * MIB);
	unsigned char *p = heap_alloc(40000);
	memset(p, 0x77, 40000);
	while (heap_alloc(100000))
		;
	while (heap_alloc(100))
		;
	cr_assert_null(heap_realloc(p, 20 * MIB));
	cr_assert(p[0] == 0x77 && memcmp(p, p + 1, 39999) == 0);
	cr_assert_geq(heap_usable_size(p), 40000);
	cr_assert_not_null(heap_realloc(p, 10), "less always fits");
	arena_assert_whole();
}

Test(heap, statistics_are_exact)
{
	const size_t tables = arena_stats().meta_bytes;
	cr_assert_eq(arena_stats().size_bytes, 512 * MIB);
	cr_assert_eq(arena_stats().live_blocks, 0);
	cr_assert_eq(arena_stats().threads, 0);
	cr_assert_eq(arena.open_bytes, tables);

	void *a = heap_alloc(100), *b = heap_alloc(100), *c = heap_alloc(40000);
	struct heap_stats stats = arena_stats();
	cr_assert_eq(stats.live_blocks, 3);
	cr_assert_eq(stats.live_bytes, 112 + 112 + 40960);
	cr_assert_eq(stats.large_blocks, 1);
	cr_assert_eq(stats.large_bytes, 40960);
	cr_assert_eq(stats.threads, 1);
	cr_assert_eq(stats.dirty_bytes, 0);
	cr_assert_eq(stats.open_bytes, arena.open_bytes);
	cr_assert_gt(stats.meta_bytes, tables);
	cr_assert_eq(stats.cached_bytes % 112, 0);
	const size_t cached = stats.cached_bytes;

	heap_free(a);
	stats = arena_stats();
	cr_assert_eq(stats.live_bytes, 112 + 40960);
	cr_assert_eq(stats.cached_bytes, cached + 112);
	heap_free(c);
	stats = arena_stats();
	cr_assert_eq(stats.large_blocks, 0);
	cr_assert_eq(stats.dirty_bytes, 40960);
	cr_assert_geq(stats.peak_bytes, 40960 + 65536);
	heap_free(b);
	heap_trim();
	stats = arena_stats();
	cr_assert_eq(stats.live_bytes + stats.cached_bytes + stats.dirty_bytes, 0);
}

Test(heap, without_a_heap_its_calls_do_nothing)
{
	heap_destroy();
	cr_assert_not(heap_trim());
	heap_thread_exit();
	cr_assert_eq(arena_check(), 0);
	cr_assert_eq(arena_stats().size_bytes, 0);
	cr_assert_not(heap_has(arena.base));
}

/* Slabs and large blocks are read-only while all their blocks are freed and handed out again. */
static void free_without_writing(void *arg)
{
	(void)arg;
	static void *blocks[20000];
	size_t count = 0;
	for (size_t size = 1; size < 100000; size += size / 90 + 1)
		for (int i = 0; i < 9 && count < 20000; i++) {
			blocks[count] = heap_alloc(size);
			CHILD_MUST(blocks[count]);
			count++;
		}
	CHILD_MUST(count > 5000);
	for (uint32_t id = 1; id < state.header->span_top; id++) {
		const struct layout_span *span = &state.spans[id];
		if (span->kind == SPAN_SLAB || span->kind == SPAN_LARGE)
			CHILD_MUST(mprotect(span->start, span->page_count * HEAP_PAGE_BYTES,
					    PROT_NONE) == 0);
	}
	for (size_t i = 0; i < count; i++)
		heap_free(blocks[i * 7919 % count]);
	CHILD_MUST(arena_stats().live_blocks == 0);
	for (size_t size = 1; size < 30000; size += 100)
		CHILD_MUST(heap_alloc(size));
}

Test(heap, free_neither_reads_nor_writes_a_user_page)
{
	arena_assert_child(free_without_writing, NULL);
}
