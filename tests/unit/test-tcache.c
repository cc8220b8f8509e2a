/* Thread caches: a thread that ends leaves nothing behind, a fork loses nothing but what was in
 * other threads' hands, and blocks may be freed by anybody. */
#include "shadow.h"

#include "heap/sizeclass.h"
#include "heap/tcache.h"

TestSuite(tcache, .init = arena_open, .timeout = 100);

static void in_thread(void *(*work)(void *), void *arg)
{
	pthread_t thread;
	cr_assert_eq(pthread_create(&thread, NULL, work, arg), 0);
	cr_assert_eq(pthread_join(thread, NULL), 0);
}

static void *allocate_and_leave(void *arg)
{
	void *blocks[500];
	for (int i = 0; i < 500; i++)
		blocks[i] = heap_alloc((size_t)(i * 37 % 3000));
	for (int i = 0; i < 500; i++)
		heap_free(blocks[i]);
	*(size_t *)arg = arena_stats().cached_bytes;
	heap_thread_exit();
	return NULL;
}

Test(tcache, a_thread_that_ends_gives_its_cache_back)
{
	size_t cached;
	in_thread(allocate_and_leave, &cached);
	cr_assert_gt(cached, 100000);
	const struct heap_stats stats = arena_stats();
	cr_assert_eq(stats.threads, 0);
	cr_assert_eq(stats.cached_bytes, 0);
	cr_assert_eq(stats.live_blocks, 0);
	cr_assert_eq(arena.thread_enters, 1);
	arena_assert_whole();
}

Test(tcache, thousands_of_threads_need_no_more_than_one)
{
	size_t cached;
	in_thread(allocate_and_leave, &cached);
	const size_t open = arena.open_bytes;
	for (int i = 0; i < 3000; i++)
		in_thread(allocate_and_leave, &cached);
	cr_assert_eq(arena.open_bytes, open);
	cr_assert_eq(arena.thread_enters, 3001);
	arena_assert_whole();
}

static void *free_block(void *arg)
{
	heap_free(arg);
	heap_thread_exit();
	return NULL;
}

Test(tcache, a_block_may_be_freed_by_another_thread)
{
	static const size_t sizes[] = {1, 100, 5000, 40000};
	for (int i = 0; i < 4; i++) {
		void *p = heap_alloc(sizes[i]);
		const size_t live = arena_stats().live_blocks;
		in_thread(free_block, p);
		cr_assert_eq(arena_stats().live_blocks, live - 1);
	}
	arena_assert_whole();
}

static void *use_after_exit(void *arg)
{
	heap_free(heap_alloc(100));
	heap_thread_exit();
	heap_thread_exit();
	char *p = heap_alloc(100), *q = heap_alloc_zeroed(3000), *r = heap_alloc(100000);
	cr_assert(p && q && r && p != q);
	memset(p, 1, 100);
	cr_assert_eq(q[2999], 0);
	p = heap_realloc(p, 5000);
	cr_assert_eq(p[99], 1);
	cr_assert_eq(arena_stats().threads, 0, "such calls go uncached");
	cr_assert_eq(arena_stats().cached_bytes, 0);
	heap_free(p);
	heap_free(q);
	heap_free(r);
	heap_trim();
	cr_assert_eq(arena_stats().live_blocks, 0);
	return arg;
}

Test(tcache, a_thread_on_its_way_out_is_served)
{
	in_thread(use_after_exit, NULL);
	arena_assert_whole();
}

Test(tcache, a_cache_is_bounded)
{
	for (unsigned class = 1; class < HEAP_CLASSES; class++) {
		const size_t bytes = sizeclass_bytes(class), count = 3000;
		static void *blocks[3000];
		for (size_t i = 0; i < count && i * bytes < 20 * MIB; i++)
			blocks[i] = heap_alloc(bytes);
		for (size_t i = 0; i < count && i * bytes < 20 * MIB; i++)
			heap_free(blocks[i]);
		const struct layout_bin *bin = &tcache_self->bins[class];
		cr_assert_leq((size_t)(bin->top - bin->entries), sizeclass_capacity(class));
		cr_assert_leq(arena_stats().cached_bytes, 2 * bytes * sizeclass_capacity(class));
		heap_trim();
		cr_assert_eq(arena_stats().cached_bytes, 0);
	}
	arena_assert_whole();
}

static void leave_without_exit(void)
{
	for (int i = 0; i < 300; i++)
		heap_free(heap_alloc((size_t)(i * 50)));
}

static pthread_barrier_t barrier;

static void *cache_and_wait(void *arg)
{
	leave_without_exit();
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	heap_thread_exit();
	return arg;
}

static void *take_a_cache(void *arg)
{
	CHILD_MUST(heap_alloc(100));
	*(struct layout_tcache **)arg = tcache_self;
	return NULL;
}

/* In the child the other thread's cache has no thread: the child's next one takes it over, with
 * the slots in it. */
static void adopt(void *arg)
{
	struct layout_tcache *other = *(struct layout_tcache **)arg, *adopted = NULL;
	heap_postfork_child();
	CHILD_MUST(heap_check(NULL, NULL) == 0);
	CHILD_MUST(arena_stats().threads == 1);
	const size_t meta = arena_stats().meta_bytes;
	pthread_t thread;
	CHILD_MUST(pthread_create(&thread, NULL, take_a_cache, &adopted) == 0);
	CHILD_MUST(pthread_join(thread, NULL) == 0);
	CHILD_MUST(adopted && adopted != tcache_self && (!other || adopted == other));
	CHILD_MUST(arena_stats().meta_bytes == meta);
	CHILD_MUST(arena_stats().threads == 2);
	for (int i = 0; i < 2000; i++)
		CHILD_MUST(heap_alloc((size_t)i));
	CHILD_MUST(heap_check(NULL, NULL) == 0);
}

Test(tcache, caches_of_threads_a_child_has_not_are_taken_over)
{
	struct layout_tcache *other = NULL;
	pthread_t thread;
	leave_without_exit();
	pthread_barrier_init(&barrier, NULL, 2);
	cr_assert_eq(pthread_create(&thread, NULL, cache_and_wait, NULL), 0);
	pthread_barrier_wait(&barrier);
	cr_assert_eq(arena_stats().threads, 2);
	heap_prefork();
	arena_assert_child(adopt, &other);
	heap_postfork_parent();
	cr_assert_eq(arena_stats().threads, 2, "the parent's are its own");
	pthread_barrier_wait(&barrier);
	pthread_join(thread, NULL);
	cr_assert_eq(arena_stats().threads, 1);
	arena_assert_whole();
}

/* A fork in the midst of other threads' work: the child's heap is whole, and no slot it hands out
 * is one of those that are alive. */
static atomic_bool is_stopping;

static void *churn(void *arg)
{
	uint64_t random = (uintptr_t)arg;
	char *blocks[64] = {NULL};
	while (!is_stopping) {
		random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
		char **block = &blocks[random >> 58];
		if (*block) {
			heap_free(*block);
			*block = NULL;
		} else {
			const size_t size = random >> 33 & 15 ? random >> 40 & 1023 : random >> 40 & 65535;
			*block = memset(heap_alloc(size), 1, size);
		}
	}
	for (int i = 0; i < 64; i++)
		if (blocks[i])
			heap_free(blocks[i]);
	heap_thread_exit();
	return NULL;
}

static void use_child_heap(void *arg)
{
	char **kept = arg;
	heap_postfork_child();
	CHILD_MUST(heap_check(NULL, NULL) == 0);
	for (int i = 0; i < 3000; i++)
		memset(heap_alloc(i % 700), 2, i % 700);
	for (int i = 0; i < 200; i++)
		for (int at = 0; at < 100; at++)
			CHILD_MUST(kept[i][at] == (char)i);
	CHILD_MUST(heap_check(NULL, NULL) == 0);
}

Test(tcache, a_fork_in_the_midst_of_other_threads_work_leaves_a_whole_heap)
{
	pthread_t threads[3];
	char *kept[200];
	for (int i = 0; i < 200; i++)
		kept[i] = memset(heap_alloc(100), i, 100);
	for (uintptr_t i = 0; i < 3; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, churn, (void *)(i + 1)), 0);
	for (int i = 0; i < 60; i++) {
		usleep(1000);
		heap_prefork();
		arena_assert_child(use_child_heap, kept);
		heap_postfork_parent();
	}
	is_stopping = true;
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	arena_assert_whole();
	cr_assert_eq(arena_stats().live_blocks, 200);
}

Test(tcache, without_memory_for_a_cache_calls_go_uncached)
{
	arena.open_bytes_max = arena.open_bytes;
	cr_assert_null(heap_alloc(100));
	cr_assert_eq(arena_stats().threads, 0);
	/* As much as a slab wants and a cache does not get: frees must work without one. */
	arena.open_bytes_max = SIZE_MAX;
	void *blocks[40];
	for (int i = 0; i < 40; i++)
		blocks[i] = heap_alloc(100);
	heap_thread_exit();
	tcache_reset();
	arena.open_bytes_max = 0;
	state.header->tcaches = 0; /* the only cache is somebody else's */
	while (heap_alloc(100000))
		;
	while (heap_alloc(33000))
		;
	cr_assert_eq(tcache_self->generation, 0);
	for (int i = 0; i < 40; i++)
		heap_free(blocks[i]);
	cr_assert_eq(arena_stats().cached_bytes, 0);
	cr_assert_not_null(heap_alloc(100));
}

static char *from_other_shards[3][200];

static void *allocate_in_a_shard(void *arg)
{
	char **blocks = arg;
	for (int i = 0; i < 200; i++)
		blocks[i] = heap_alloc(2000);
	pthread_barrier_wait(&barrier);
	heap_thread_exit();
	return NULL;
}

/* One cache full of slots whose slabs belong to different shards. */
Test(tcache, slots_go_back_to_the_shard_they_came_from)
{
	pthread_t threads[3];
	pthread_barrier_init(&barrier, NULL, 3);
	for (int i = 0; i < 3; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, allocate_in_a_shard, from_other_shards[i]), 0);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < 200; i++)
		for (int shard = 0; shard < 3; shard++)
			heap_free(from_other_shards[shard][i]);
	arena_assert_whole();
	cr_assert(heap_trim());
	cr_assert_eq(arena_stats().live_blocks, 0);
	cr_assert_eq(arena_stats().cached_bytes, 0);
	arena_assert_whole();
}

static struct lock contended;
static unsigned counted;

static void *count_under_the_lock(void *arg)
{
	for (int i = 0; i < 20000; i++) {
		lock_acquire(&contended);
		counted++;
		if (i % 1000 == 0)
			usleep(100); /* the others give up spinning, and sleep */
		lock_release(&contended);
	}
	return arg;
}

Test(tcache, a_lock_lets_one_in_at_a_time_and_wakes_the_others)
{
	pthread_t threads[4];
	for (int i = 0; i < 4; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, count_under_the_lock, NULL), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	cr_assert_eq(counted, 80000);
	cr_assert_eq(contended.word, 0);
}
