/* A heap found in its image: it goes on where it stopped, nothing its threads had cached is lost,
 * and no byte of a head is believed that cannot be true. */
#include "shadow.h"

#include "heap/sizeclass.h"
#include "heap/tcache.h"

#define SIZE (128 * MIB)

TestSuite(heap_image, .timeout = 100);

/* The bytes of the range, where they were open. */
static struct image {
	char *bytes;
	struct heap_extent extents[HEAP_EXTENTS];
} image;

static struct heap_finding why;

static void image_take(void)
{
	if (!image.bytes)
		image.bytes = malloc(SIZE);
	for (size_t page = 0; page < SIZE / 4096; page++)
		if (arena.is_open[page])
			memcpy(image.bytes + page * 4096, arena.base + page * 4096, 4096);
		else
			memset(image.bytes + page * 4096, 0, 4096);
	cr_assert_eq(heap_image_extents(image.bytes, SIZE, image.extents, &why), 0, "%s", why.what);
}

/* A new process: the range is as the image has it. Purged pages are open, and zero. */
static void image_load(void)
{
	heap_destroy();
	cr_assert_eq(mprotect(arena.base, SIZE, PROT_NONE), 0);
	cr_assert_eq(madvise(arena.base, SIZE, MADV_DONTNEED), 0);
	memset(arena.is_open, 0, sizeof(arena.is_open));
	arena.open_bytes = 0;
	for (int i = 0; i < HEAP_EXTENTS; i++) {
		const struct heap_extent *extent = &image.extents[i];
		if (extent->len == 0)
			continue;
		cr_assert_eq(mprotect(arena.base + extent->offset, extent->len,
				      PROT_READ | PROT_WRITE), 0);
		memcpy(arena.base + extent->offset, image.bytes + extent->offset, extent->len);
		memset(arena.is_open + extent->offset / 4096, true, extent->len / 4096);
		arena.open_bytes += extent->len;
	}
}

static void image_attach(void)
{
	image_load();
	cr_assert_eq(heap_attach(&arena_memory, arena.base, SIZE, SIZE, &why), 0, "%s at 0x%zx",
		     why.what, why.offset);
	arena_assert_whole();
}

static void again(void)
{
	image_take();
	image_attach();
}

static pthread_barrier_t start, finish;

/* Fills a cache in every class, leaves some blocks alive, and is gone without a goodbye. */
static void *live_and_die(void *arg)
{
	char **kept = arg;
	pthread_barrier_wait(&start);
	for (unsigned class = 1; class < HEAP_CLASSES; class++) {
		char *blocks[64];
		const size_t bytes = sizeclass_bytes(class), count = bytes < 1000 ? 64 : 4;
		for (size_t i = 0; i < count; i++)
			blocks[i] = heap_alloc(bytes);
		kept[class] = blocks[1];
		kept[class][0] = (char)class;
		for (size_t i = 0; i < count; i++)
			if (i != 1)
				heap_free(blocks[i]);
	}
	pthread_barrier_wait(&finish);
	return NULL;
}

#define THREADS 12
static char *kept[THREADS][HEAP_CLASSES];

static void live_and_die_in_threads(void)
{
	pthread_t threads[THREADS];
	pthread_barrier_init(&start, NULL, THREADS);
	pthread_barrier_init(&finish, NULL, THREADS);
	for (int i = 0; i < THREADS; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, live_and_die, kept[i]), 0);
	for (int i = 0; i < THREADS; i++)
		cr_assert_eq(pthread_join(threads[i], NULL), 0);
	cr_assert_eq(arena_stats().threads, THREADS);
}

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
	}
	const struct heap_stats after = arena_stats();
	cr_assert_eq(after.live_blocks, before.live_blocks);
	cr_assert_eq(after.live_bytes, before.live_bytes);
	cr_assert_leq(after.open_bytes, before.open_bytes + 4 * MIB);
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

/* Damages one place of the image and expects the first finding there; it is refused, by those who
 * only look as well, and not a byte of the range is written. */
static void refuse(void *at, size_t bytes, uint64_t value, const char *what, bool is_in_head)
{
	uint64_t before = 0;
	char *there = arena.base + ((char *)at - image.bytes);
	memcpy(&before, at, bytes);
	memcpy(at, &value, bytes);
	memcpy(there, at, bytes);
	struct heap_extent extents[HEAP_EXTENTS];
	cr_assert_eq(heap_image_extents(image.bytes, SIZE, extents, &why),
		     is_in_head ? HEAP_E_DAMAGED : 0, "%s", what);
	cr_assert_eq(heap_attach(&arena_memory, arena.base, SIZE, SIZE, &why), HEAP_E_DAMAGED, "%s",
		     what);
	cr_assert_str_eq(why.what, what, "%s, not %s", why.what, what);
	cr_assert_neq(why.expected, why.found);
	cr_assert_lt(why.offset, SIZE);
	for (int i = 0; i < HEAP_EXTENTS; i++)
		cr_assert_eq(memcmp(arena.base + image.extents[i].offset,
				    image.bytes + image.extents[i].offset, image.extents[i].len), 0);
	cr_assert_eq(heap_range.size, 0);
	memcpy(at, &before, bytes);
	memcpy(there, &before, bytes);
}

#define REFUSE(lvalue, value, what) refuse(&(lvalue), sizeof(lvalue), (uint64_t)(value), what, true)

Test(heap_image, a_damaged_head_is_refused)
{
	arena_open_size(SIZE);
	live_and_die_in_threads();
	heap_set_root("one", heap_alloc(10));
	heap_free(heap_alloc(100000));
	image_take();
	image_load();
	struct layout_heap *h = (struct layout_heap *)image.bytes;
	REFUSE(h->magic, h->magic + 1, "header: magic");
	REFUSE(h->magic, 0, "header: magic");
	REFUSE(h->size_bytes, 0, "a heap may have that size");
	REFUSE(h->size_bytes, HEAP_SIZE_MAX + 1, "a heap may have that size");
	REFUSE(h->size_bytes, UINT64_MAX, "a heap may have that size");
	REFUSE(h->size_bytes, SIZE - MIB, "header: spans");
	REFUSE(h->size_bytes, SIZE + 64 * MIB, "header: spans");
	REFUSE(h->pagemap, h->pagemap + 4096, "header: pagemap");
	REFUSE(h->spans, h->spans + 4096, "header: spans");
	REFUSE(h->data_start, h->data_start + 4096, "header: data_start");
	REFUSE(h->span_capacity, h->span_capacity - 1, "header: span_capacity");
	REFUSE(h->data_end, 0, "data ends inside the heap");
	REFUSE(h->data_end, SIZE + 4096, "data ends inside the heap");
	REFUSE(h->data_end, UINT64_MAX - 4095, "data ends inside the heap");
	REFUSE(h->data_end, h->data_end + 1, "data ends inside the heap");
	REFUSE(h->span_top, 0, "span records fit");
	REFUSE(h->span_top, UINT32_MAX, "span records fit");
	REFUSE(h->spans_open, 0, "span records fit");
	REFUSE(h->spans_open, h->data_start, "span table is in its place");
	REFUSE(h->pagemap_open, 0, "pagemap is open");
	REFUSE(h->pagemap_open, h->spans, "pagemap is open");
	REFUSE(h->shard_count, 1, "shards are a power of two");
	REFUSE(h->shard_count, 3, "shards are a power of two");
	REFUSE(h->shard_count, 32, "shards are a power of two");
	REFUSE(h->generation, 0, "generation is one, not the last");
	REFUSE(h->generation, UINT32_MAX, "generation is one, not the last");
	REFUSE(h->span_free, h->span_top, "a list begins with a record");
	REFUSE(h->dirty_oldest, h->span_top, "a list begins with a record");
	REFUSE(h->dirty_newest, UINT32_MAX, "a list begins with a record");
	REFUSE(h->clean.head[100], h->span_top, "free spans begin with a record");
	REFUSE(h->dirty.head[3], 1, "bin's bit");
	REFUSE(h->purged.occupied[0], UINT64_MAX, "bin's bit");
	REFUSE(h->slabs[0][3].head, UINT32_MAX, "slabs begin and end with a record");
	REFUSE(h->slabs[1][72].tail, h->span_top, "slabs begin and end with a record");
	REFUSE(h->slabs[0][0].head, 1, "slabs begin and end with a record");
	REFUSE(h->meta_bump, h->meta_bump_end + 64, "unused metadata is data");
	REFUSE(h->meta_bump_end, SIZE, "unused metadata is data");
	REFUSE(h->meta_free[5], h->data_end, "free metadata is data");
	REFUSE(h->meta_free[64], 64, "free metadata is data");
	REFUSE(h->tcaches, h->tcaches + 64, "thread caches are data");
	REFUSE(h->tcaches, h->data_end, "thread caches are data");
	for (unsigned class = 1; class < HEAP_CLASSES; class++) {
		REFUSE(h->classes[class].slot_bytes, 0, "class geometry");
		REFUSE(h->classes[class].inverse, 0, "class geometry");
	}
	struct layout_root *root = (struct layout_root *)(image.bytes + HEAP_ROOTS_OFFSET);
	REFUSE(root->offset, 0, "root has a name and points into the data");
	REFUSE(root->offset, h->data_end, "root has a name and points into the data");
	REFUSE(root[1023].name[0], 'x', "root has a name and points into the data");
	struct layout_span *spans = (struct layout_span *)(image.bytes + h->spans);
	uint32_t *first = (uint32_t *)(image.bytes + h->pagemap) + h->data_start / 4096;
	refuse(&spans[0].kind, 1, SPAN_LARGE, "record 0 is empty", false);
	refuse(first, 4, 0, "the data begin with a record", false);
	refuse(first, 4, h->span_top, "the data begin with a record", false);
	refuse(&spans[*first].start, 8, (uintptr_t)arena.base, "address of the first data", false);
	cr_assert_eq(heap_attach(&arena_memory, arena.base, SIZE, SIZE, &why), 0, "%s", why.what);
	arena_assert_whole();
}

Test(heap_image, noise_is_refused_without_a_crash)
{
	static uint8_t head[HEAP_HEAD_BYTES];
	struct heap_extent extents[HEAP_EXTENTS];
	arena_seed();
	arena_open_size(SIZE);
	live_and_die_in_threads();
	image_take();
	size_t refused = 0;
	for (int round = 0; round < 3000; round++) {
		memcpy(head, image.bytes, sizeof(head));
		for (uint64_t flips = arena_random(16) + 1; flips-- != 0;)
			head[arena_random(sizeof(struct layout_heap))] ^= (uint8_t)(1u << arena_random(8));
		refused += heap_image_extents(head, SIZE, extents, &why) != 0;
		(void)heap_image_has_roots(head);
	}
	cr_assert_gt(refused, 1000);
	for (size_t i = 0; i < sizeof(head); i++)
		head[i] = (uint8_t)arena_random(256);
	cr_assert_eq(heap_image_extents(head, SIZE, extents, &why), HEAP_E_DAMAGED);
}
