/* The heap once there are epochs: what is replaced goes to few pages, and that costs little room. */
#include "arena.h"

TestSuite(heap_sparing, .init = arena_open, .timeout = 100);

#define BLOCKS 100000
#define BLOCK_BYTES 96
#define SLACK_PARTS 8 /* of a class, at most one of so many is free for it */

static void *blocks[BLOCKS];

static void fill(void)
{
	arena_seed();
	for (size_t i = 0; i < BLOCKS; i++)
		blocks[i] = heap_alloc(BLOCK_BYTES);
}

/* So many blocks are replaced at random, as by a program that keeps a table of them. Returns how
 * many pages the new ones lie in. */
static size_t replace(size_t count)
{
	static uint32_t seen[512 * MIB / 4096];
	static uint32_t turn;
	size_t pages = 0;

	turn++;
	for (size_t i = 0; i < count; i++) {
		void **block = &blocks[arena_random(BLOCKS)];
		void *next = heap_alloc(BLOCK_BYTES);
		cr_assert_not_null(next);
		heap_free(*block);
		*block = next;
		uint32_t *page = &seen[((char *)next - arena.base) / 4096];
		pages += *page != turn;
		*page = turn;
	}
	return pages;
}

Test(heap_sparing, a_block_of_this_epoch_is_what_malloc_returns_next)
{
	heap_begin_epoch();
	fill();
	void *young = heap_alloc(BLOCK_BYTES);
	heap_free(young);
	cr_assert_eq(heap_alloc(BLOCK_BYTES), young);
	arena_assert_whole();
}

Test(heap_sparing, an_older_one_is_not)
{
	heap_begin_epoch();
	fill();
	for (int epoch = 0; epoch < 127; epoch++) { /* what a state byte can tell apart */
		heap_begin_epoch();
		void **old = &blocks[arena_random(BLOCKS)];
		void *was = *old;
		heap_free(was);
		*old = heap_alloc(BLOCK_BYTES);
		cr_assert_neq(*old, was, "epoch %d", epoch);
	}
	arena_assert_whole();
}

Test(heap_sparing, what_is_replaced_at_random_comes_to_few_pages)
{
	enum { EPOCHS = 300, EACH = 1000 };
	size_t spared = 0, always;

	fill();
	always = replace(EACH);
	const size_t before = arena_stats().open_bytes;
	for (int epoch = 0; epoch < EPOCHS; epoch++) {
		heap_begin_epoch();
		const size_t pages = replace(EACH);
		if (epoch >= EPOCHS / 2)
			spared += pages;
	}
	spared /= EPOCHS / 2;
	cr_log_info("%zu pages instead of %zu", spared, always);
	cr_assert_lt(spared * 4, always, "%zu pages, %zu if all were as before", spared, always);
	const size_t grown = arena_stats().open_bytes - before;
	cr_assert_lt(grown, before / SLACK_PARTS + MIB, "%zu bytes more than %zu", grown, before);
	arena_assert_whole();
	for (size_t i = 0; i < BLOCKS; i++)
		heap_free(blocks[i]);
	cr_assert_eq(arena_stats().live_blocks, 0);
	arena_assert_whole();
}

Test(heap_sparing, a_heap_that_is_full_takes_whatever_is_free)
{
	size_t count = 0;

	arena.open_bytes_max = 8 * MIB;
	heap_begin_epoch();
	while (count < BLOCKS && (blocks[count] = heap_alloc(BLOCK_BYTES)))
		count++;
	cr_assert_lt(count, (size_t)BLOCKS);
	for (int i = 0; i < 10000; i++) {
		heap_begin_epoch();
		void **block = &blocks[arena_random(count)];
		heap_free(*block);
		*block = heap_alloc(BLOCK_BYTES);
		cr_assert_not_null(*block);
	}
	arena_assert_whole();
}

Test(heap_sparing, a_class_of_few_slabs_does_not_grow_for_it)
{
	void *some[100];

	for (size_t i = 0; i < 100; i++)
		some[i] = heap_alloc(BLOCK_BYTES);
	const size_t before = arena_stats().open_bytes;
	for (int i = 0; i < 10000; i++) {
		heap_begin_epoch();
		void **block = &some[arena_random(100)];
		heap_free(*block);
		*block = heap_alloc(BLOCK_BYTES);
	}
	cr_assert_eq(arena_stats().open_bytes, before);
	arena_assert_whole();
}

static void *churn(void *unused)
{
	void *mine[64] = {NULL};

	for (int i = 0; i < 200000; i++) {
		void **one = &mine[(unsigned)i * 2654435761u >> 26];
		heap_free(*one ? *one : heap_alloc(16));
		*one = heap_alloc(8 + (unsigned)i % 400);
	}
	for (size_t i = 0; i < 64; i++)
		heap_free(mine[i]);
	heap_thread_exit();
	return NULL;
}

Test(heap_sparing, epochs_begin_while_threads_allocate)
{
	pthread_t threads[4];

	for (size_t i = 0; i < 4; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, churn, NULL), 0);
	for (int i = 0; i < 2000; i++) {
		heap_begin_epoch();
		usleep(50);
	}
	for (size_t i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	cr_assert_eq(arena_stats().live_blocks, 0);
	arena_assert_whole();
}
