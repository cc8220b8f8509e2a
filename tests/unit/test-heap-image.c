/* A heap found in its image: it goes on where it stopped, and nothing its threads had cached is
 * lost. */
#include "heap-images.h"

#include "heap/tcache.h"

TestSuite(heap_image, .timeout = 100);

static void assert_kept(void)
{
	for (int i = 0; i < THREADS; i++)
		for (unsigned class = 1; class < HEAP_CLASSES; class++)
			cr_assert_eq(kept[i][class][0], (char)class);
}

Test(heap_image, an_empty_heap_goes_on)
{
	arena_open_size(SIZE);
	again();
	char *p = heap_alloc(100);
	cr_assert_not_null(p);
	again();
	heap_free(p);
	arena_assert_whole();
}

Test(heap_image, blocks_and_roots_are_where_they_were)
{
	arena_open_size(SIZE);
	char *small = strcpy(heap_alloc(100), "small"), *large = heap_alloc(MIB);
	memset(large, 7, MIB);
	heap_set_root("small", small);
	heap_set_root("large", large);
	const struct heap_stats before = arena_stats();
	again();
	const struct heap_stats after = arena_stats();
	cr_assert_eq(after.live_bytes, before.live_bytes);
	cr_assert_eq(after.live_blocks, 2);
	cr_assert_eq(after.cached_bytes, before.cached_bytes);
	cr_assert_eq(after.open_bytes, before.open_bytes);
	cr_assert_eq(after.threads, 0);
	cr_assert_eq(heap_get_root("small"), small);
	cr_assert_str_eq(small, "small");
	cr_assert_eq(heap_get_root("large"), large);
	cr_assert(large[0] == 7 && memcmp(large, large + 1, MIB - 1) == 0);
	heap_free(small);
	heap_free(large);
	cr_assert_eq(arena_stats().live_blocks, 0);
	arena_assert_whole();
}

Test(heap_image, what_dead_threads_cached_is_adopted_by_new_ones)
{
	arena_open_size(SIZE);
	live_and_die_in_threads();
	const struct heap_stats before = arena_stats();
	size_t settled_bytes = 0; /* it depends on how many of them ever lived at once */
	for (int run = 0; run < 20; run++) {
		again();
		assert_kept();
		cr_assert_eq(arena_stats().threads, 0);
		char *of_this_run[THREADS][HEAP_CLASSES];
		memcpy(of_this_run, kept, sizeof(kept));
		live_and_die_in_threads();
		for (int i = 0; i < THREADS; i++)
			for (unsigned class = 1; class < HEAP_CLASSES; class++)
				heap_free(of_this_run[i][class]);
		arena_assert_whole();
		if (run < 10 && arena_stats().open_bytes > settled_bytes)
			settled_bytes = arena_stats().open_bytes;
	}
	const struct heap_stats after = arena_stats();
	cr_assert_eq(after.live_blocks, before.live_blocks);
	cr_assert_eq(after.live_bytes, before.live_bytes);
	cr_assert_leq(after.open_bytes, settled_bytes + 4 * MIB);
}

static uint32_t slabs_of(unsigned class)
{
	uint32_t slabs = 0;
	for (unsigned shard = 0; shard < state.shard_count; shard++)
		slabs += state.header->slabs[shard][class].count;
	return slabs;
}

/* A single thread follows on twelve. */
Test(heap_image, what_nobody_adopts_is_used_before_the_heap_grows)
{
	arena_open_size(SIZE);
	live_and_die_in_threads();
	again();
	const unsigned class = sizeclass_of(1024);
	const uint32_t slabs = slabs_of(class);
	while (slabs_of(class) == slabs)
		cr_assert_not_null(heap_alloc(1024));
	cr_assert_eq(state.orphans[class], 0, "every orphan was asked before a slab was made");
	cr_assert_neq(state.orphans[class + 1], 0, "and for nothing else");
	const struct layout_tcache *cache;
	for (uint64_t at = state.header->tcaches; at != 0; at = cache->next) {
		cache = (const struct layout_tcache *)heap_pointer(at);
		cr_assert(cache == tcache_self || cache->bins[class].top == cache->bins[class].entries);
	}
	assert_kept();
	arena_assert_whole();
}

Test(heap_image, trim_empties_what_dead_threads_cached)
{
	arena_open_size(SIZE);
	live_and_die_in_threads();
	again();
	cr_assert_gt(arena_stats().cached_bytes, 1000000);
	cr_assert(heap_trim());
	cr_assert_eq(arena_stats().cached_bytes, 0);
	assert_kept();
	arena_assert_whole();
	cr_assert(!tcache_empty_orphans(), "once is enough");
}

/* The heap is full but for what lies in caches of dead threads. */
Test(heap_image, memory_dead_threads_cached_is_found_when_there_is_no_other)
{
	arena_open_size(SIZE);
	live_and_die_in_threads();
	again();
	arena.open_bytes_max = arena.open_bytes;
	while (heap_alloc(200000))
		;
	cr_assert_eq(arena_stats().cached_bytes, 0);
	for (unsigned class = 1; class < HEAP_CLASSES; class++)
		cr_assert_eq(state.orphans[class], 0);
	assert_kept();
	arena_assert_whole();
}

Test(heap_image, random_work_goes_on_over_many_runs)
{
	arena_seed();
	arena_open_size(SIZE);
	shadow_open();
	for (int run = 0; run < 30; run++) {
		for (int step = 0; step < 3000; step++)
			cr_assert(shadow_step(600));
		if (run % 5 == 4)
			heap_trim();
		again();
		for (size_t i = 0; i < SHADOW_BLOCKS; i++)
			if (shadow.blocks[i].p)
				shadow_verify(&shadow.blocks[i], shadow.blocks[i].size);
	}
	shadow_free_all();
	heap_trim();
	cr_assert_eq(arena_stats().live_blocks, 0);
	cr_assert_eq(arena_stats().cached_bytes, 0);
	arena_assert_whole();
}

static void put_out_of_reach(size_t from, size_t to)
{
	cr_assert_eq(mprotect(arena.base + from, to - from, PROT_NONE), 0);
}

#ifndef HEAP_MEMCHECK /* memcheck is told of every block */
Test(heap_image, attaching_touches_the_head_and_two_records)
{
	arena_open_size(SIZE);
	live_and_die_in_threads();
	image_take();
	image_load();
	const struct layout_heap *header = (const struct layout_heap *)image.bytes;
	const size_t entry = header->pagemap + header->data_start / 4096 * sizeof(uint32_t);
	const size_t entry_page = entry - entry % 4096;
	put_out_of_reach(HEAP_HEAD_BYTES, entry_page);
	put_out_of_reach(entry_page + 4096, header->spans);
	put_out_of_reach(header->spans + 4096, SIZE);
	cr_assert_eq(heap_attach(&arena_memory, arena.base, SIZE, SIZE, &why), 0);
}
#endif

/* Returns how much there was. */
static size_t fill(void)
{
	size_t got = 0;
	while (heap_alloc(100000))
		got += 100000;
	return got;
}

Test(heap_image, a_heap_grows_as_far_as_it_was_laid_out_for)
{
	arena_reserve(256 * MIB, PROT_NONE);
	cr_assert_eq(heap_create(&arena_memory, arena.base, 100 * MIB, 32 * MIB), 0);
	cr_assert_eq(arena_stats().size_bytes, 32 * MIB);
	size_t got = fill();
	cr_assert(got > 28 * MIB && got < 32 * MIB, "%zu", got);
	for (int run = 0; run < 2; run++) {
		image_take();
		image_load();
		cr_assert_eq(heap_attach(&arena_memory, arena.base, 256 * MIB, run ? 256 * MIB : 64 * MIB,
					 &why), 0);
		cr_assert_eq(arena_stats().size_bytes, run ? 100 * MIB : 64 * MIB);
		got += fill();
		cr_assert(got > (run ? 95 : 60) * MIB && got < (run ? 100 : 64) * MIB, "%zu", got);
		arena_assert_whole();
	}
}

Test(heap_image, a_range_too_small_for_its_data_is_refused)
{
	arena_open_size(SIZE);
	cr_assert_not_null(heap_alloc(50 * MIB));
	image_take();
	image_load();
	cr_assert_eq(heap_attach(&arena_memory, arena.base, SIZE, 32 * MIB, &why), -ENOMEM);
	cr_assert_eq(heap_attach(&arena_memory, arena.base, 32 * MIB, 32 * MIB, &why), HEAP_E_DAMAGED);
	cr_assert_str_eq(why.what, "data end inside the range");
	cr_assert_eq(heap_attach(&arena_memory, arena.base, 64 * MIB, 64 * MIB, &why), 0);
	cr_assert_null(heap_alloc(50 * MIB));
	arena_assert_whole();
}

/* Ages in an image are seconds in use, not of some boot. */
Test(heap_image, the_clock_goes_on_where_it_stopped)
{
	arena_open_size(SIZE);
	heap_free(heap_alloc(MIB));
	static const uint32_t moments[] = {0, 5, 1000000, UINT32_MAX - 1};
	for (int i = 0; i < 4; i++) {
		char *p = heap_alloc(MIB), *wall = heap_alloc(MIB);
		heap_free(p);
		image_take();
		struct layout_heap *header = (struct layout_heap *)image.bytes;
		const uint32_t shift = moments[i] - header->recent_s;
		header->recent_s += shift;
		for (uint32_t id = 1; id < header->span_top; id++) {
			struct layout_span *span = (struct layout_span *)(image.bytes + header->spans) + id;
			if (span->kind == SPAN_FREE_DIRTY)
				span->released_s += shift;
		}
		image_attach();
		const size_t purges = arena.purge_calls;
		cr_assert_gt(arena_stats().dirty_bytes, 0);
		heap_free(wall);
		cr_assert_eq(arena.purge_calls, purges, "a young span is not old at %u", moments[i]);
	}
}

/* To write them they would have to be read. */
Test(heap_image, pages_free_since_an_earlier_run_are_given_back_before_they_are_used)
{
	arena_open_size(SIZE);
	char *large = memset(heap_alloc(3 * MIB), 1, 3 * MIB);
	char *wall = heap_alloc(40000), *small = memset(heap_alloc(40000), 1, 40000);
	cr_assert_not_null(wall);
	(void)heap_alloc(40000);
	heap_free(large);
	heap_free(small);
	again();
	const size_t purges = arena.purge_calls;
	char *p = heap_alloc(3 * MIB);
	cr_assert_eq(arena.purge_calls, purges + 1);
	cr_assert(shadow_is_zero((unsigned char *)p, 3 * MIB));
	heap_free(memset(p, 2, 3 * MIB));
	cr_assert_eq(((char *)heap_alloc(3 * MIB))[5], 2, "what this run freed is used again");
	cr_assert_eq(((char *)heap_alloc(40000))[5], 1, "a few pages are not worth it");
	cr_assert_eq(arena.purge_calls, purges + 1);
	arena.purge_fails = true;
	heap_free(p);
	again();
	cr_assert_eq(((char *)heap_alloc(3 * MIB))[5], 2, "better than nothing");
	arena_assert_whole();
}

Test(heap_image, roots_are_read_from_the_table_alone)
{
	static char roots[HEAP_ROOTS_BYTES];
	const char *name;
	uint64_t offset;
	cr_assert(!heap_image_root(roots, 0, &name, &offset));
	arena_open_size(SIZE);
	image_take();
	cr_assert(!heap_image_has_roots(image.bytes));
	char *p = heap_alloc(100), *q = heap_alloc(50000);
	heap_set_root("p", p);
	heap_set_root("other", q);
	heap_set_root("q", q);
	heap_set_root("other", NULL);
	image_take();
	cr_assert(heap_image_has_roots(image.bytes));
	memcpy(roots, image.bytes + HEAP_ROOTS_OFFSET, sizeof(roots));
	cr_assert(heap_image_root(roots, 0, &name, &offset));
	cr_assert_str_eq(name, "p");
	cr_assert_eq(offset, (size_t)(p - arena.base));
	cr_assert(heap_image_root(roots, 1, &name, &offset));
	cr_assert_str_eq(name, "q");
	cr_assert_eq(offset, (size_t)(q - arena.base));
	cr_assert(!heap_image_root(roots, 2, &name, &offset));
	memset(roots, 'x', sizeof(roots));
	cr_assert(!heap_image_root(roots, 0, &name, &offset), "names that do not end are none");
}
