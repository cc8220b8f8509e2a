/* Undo: after an abort everything is as it was at the beginning, after a commit as the program
 * left it; and in between no freed block is anybody's. */
#include "shadow.h"

#include <sys/resource.h>

#include "heap/sizeclass.h"
#include "heap/tcache.h"
#include "heap/undo.h"

TestSuite(heap_undo, .init = arena_open, .timeout = 100);

static void begin(void)
{
	cr_assert_eq(heap_undo_begin(), 0);
}

Test(heap_undo, an_abort_puts_added_bytes_back_newest_first)
{
	char outside[] = "outside", *inside = strcpy(heap_alloc(100), "inside");
	begin();
	cr_assert_eq(heap_undo_add(outside, sizeof(outside)), 0);
	strcpy(outside, "changed");
	cr_assert_eq(heap_undo_add(outside + 2, 3), 0);
	cr_assert_eq(heap_undo_add(inside, 7), 0);
	cr_assert_eq(heap_undo_add(inside, 0), 0);
	memset(outside, 'x', 7);
	memset(inside, 'y', 20);
	heap_undo_abort();
	cr_assert_str_eq(outside, "outside");
	cr_assert_str_eq(inside, "inside");
	cr_assert_eq(inside[10], 'y', "what was not added stays");
	begin();
	cr_assert_eq(heap_undo_add(outside, sizeof(outside)), 0);
	strcpy(outside, "changed");
	heap_undo_commit();
	cr_assert_str_eq(outside, "changed");
	heap_undo_abort();
	cr_assert_str_eq(outside, "changed", "it is over");
	arena_assert_whole();
}

Test(heap_undo, an_abort_puts_roots_back_by_name)
{
	char *p = heap_alloc(16), *q = heap_alloc(16);
	cr_assert_eq(heap_set_root("old", p), 0);
	begin();
	cr_assert_eq(heap_undo_root("old", p, heap_set_root), 0);
	cr_assert_eq(heap_set_root("old", NULL), 0);
	cr_assert_eq(heap_undo_root("new", NULL, heap_set_root), 0);
	cr_assert_eq(heap_set_root("another's", q), 0, "in the place of the old one");
	cr_assert_eq(heap_set_root("new", heap_alloc(16)), 0);
	heap_undo_abort();
	cr_assert_eq(heap_get_root("old"), p);
	cr_assert_null(heap_get_root("new"));
	cr_assert_eq(heap_get_root("another's"), q);
	cr_assert_eq(heap_undo_root("old", p, heap_set_root), -EINVAL);
	arena_assert_whole();
}

Test(heap_undo, ranges_of_any_length)
{
	static unsigned char bytes[3 * MIB], before[3 * MIB];
	arena_seed();
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = before[i] = (unsigned char)arena_random(256);
	for (int round = 0; round < 20; round++) {
		begin();
		for (int i = 0; i < 50; i++) {
			const size_t at = arena_random(2 * MIB), len = arena_random(MIB) >> arena_random(20);
			cr_assert_eq(heap_undo_add(bytes + at, len), 0);
			memset(bytes + at, i, len);
		}
		heap_undo_abort();
		cr_assert_eq(memcmp(bytes, before, sizeof(bytes)), 0);
	}
}

Test(heap_undo, an_abort_frees_what_was_allocated)
{
	heap_free(heap_alloc(100));
	const struct heap_stats before = arena_stats();
	begin();
	for (int i = 0; i < 3000; i++)
		cr_assert_not_null(heap_alloc((size_t)i * 17));
	cr_assert(shadow_is_zero(heap_alloc_zeroed(5000), 5000));
	cr_assert(shadow_is_zero(heap_alloc_zeroed(500000), 500000));
	cr_assert_eq((uintptr_t)heap_alloc_aligned(1 << 15, 10) % (1 << 15), 0);
	char *p = heap_alloc_aligned(256, 10);
	cr_assert_eq((uintptr_t)p % 256, 0);
	cr_assert_geq(heap_usable_size(p), 10);
	heap_undo_abort();
	cr_assert_eq(arena_stats().live_blocks, before.live_blocks);
	cr_assert_eq(arena_stats().live_bytes, before.live_bytes);
	arena_assert_whole();
	begin();
	p = heap_alloc(100);
	heap_undo_commit();
	cr_assert_eq(arena_stats().live_blocks, before.live_blocks + 1);
	heap_free(p);
}

Test(heap_undo, a_freed_block_is_untouched_until_the_commit)
{
	static const size_t sizes[] = {16, 100, 3000, 32768, 40000, 3 * MIB};
	enum { KINDS = sizeof(sizes) / sizeof(sizes[0]) };
	unsigned char *blocks[KINDS];
	for (int is_commit = 0; is_commit < 2; is_commit++) {
		for (int i = 0; i < KINDS; i++)
			blocks[i] = memset(heap_alloc(sizes[i]), i + 1, sizes[i]);
		const size_t live = arena_stats().live_blocks;
		begin();
		for (int i = 0; i < KINDS; i++)
			heap_free(blocks[i]);
		for (int i = 0; i < KINDS; i++)
			for (int more = 0; more < 50; more++) {
				char *p = heap_alloc(sizes[i]);
				cr_assert(p >= (char *)blocks[i] + sizes[i] ||
					  p + sizes[i] <= (char *)blocks[i]);
				memset(p, 99, sizes[i]);
			}
		heap_trim();
		cr_assert_eq(arena_stats().cached_bytes, 16 + 112 + 3072 + 32768, "of those freed only");
		for (int i = 0; i < KINDS; i++) {
			cr_assert_eq(blocks[i][0], i + 1);
			cr_assert_eq(memcmp(blocks[i], blocks[i] + 1, sizes[i] - 1), 0);
		}
		if (is_commit) {
			heap_undo_commit();
			cr_assert_eq(arena_stats().live_blocks, live - KINDS + 50 * KINDS);
		} else {
			heap_undo_abort();
			cr_assert_eq(arena_stats().live_blocks, live);
			for (int i = 0; i < KINDS; i++)
				heap_free(blocks[i]);
		}
		arena_assert_whole();
	}
}

Test(heap_undo, realloc_moves)
{
	static const size_t sizes[] = {100, 110, 60, 100000, 101000, 99000, 50};
	for (size_t i = 0; i < 7; i++)
		for (size_t j = 0; j < 7; j++) {
			char *p = heap_alloc(sizes[i]);
			memset(p, 1, sizes[i]);
			begin();
			char *q = heap_realloc(p, sizes[j]);
			cr_assert_neq(p, q, "%zu to %zu", sizes[i], sizes[j]);
			cr_assert_eq(q[sizes[i] < sizes[j] ? sizes[i] - 1 : sizes[j] - 1], 1);
			memset(q, 2, sizes[j]);
			cr_assert_eq(p[sizes[i] - 1], 1);
			char *r = heap_realloc(q, sizes[j]);
			cr_assert(r != q && r != p);
			if (i % 2 == 0) {
				heap_undo_abort();
				cr_assert(p[0] == 1 && p[sizes[i] - 1] == 1);
				heap_free(p);
			} else {
				heap_undo_commit();
				cr_assert(r[0] == 2 && r[sizes[j] - 1] == 2);
				heap_free(r);
			}
			cr_assert_eq(arena_stats().live_blocks, 0);
		}
	arena_assert_whole();
}

Test(heap_undo, what_is_allocated_and_freed_within_is_gone_either_way)
{
	for (int i = 0; i < 2; i++) {
		begin();
		char *p = heap_alloc(100), *q = heap_alloc(100000);
		cr_assert_eq(heap_undo_add(p, 100), 0);
		memset(p, 1, 100);
		heap_free(p);
		heap_free(q);
		cr_assert_neq(heap_alloc(100), p);
		(i ? heap_undo_commit : heap_undo_abort)();
		cr_assert_eq(arena_stats().live_blocks, (size_t)i);
		arena_assert_whole();
	}
}

static void free_twice(void *arg)
{
	(void)heap_undo_begin();
	heap_free(arg);
	heap_free(arg);
}

static void use_freed(void *arg)
{
	(void)heap_undo_begin();
	heap_free(arg);
	(void)heap_usable_size(arg);
}

static void free_after_commit(void *arg)
{
	(void)heap_undo_begin();
	heap_free(arg);
	heap_undo_commit();
	heap_free(arg);
}

static void assert_dies(void (*body)(void *), void *arg, const char *what)
{
	char text[4096];
	const int status = arena_in_child(body, arg, text, sizeof(text));
	cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "status 0x%x", status);
	cr_assert_not_null(strstr(text, what), "%s", text);
}

Test(heap_undo, a_second_free_is_seen)
{
	char *small = heap_alloc(100), *large = heap_alloc(100000);
	assert_dies(free_twice, small, "freed twice?");
	assert_dies(free_twice, large, "freed twice?");
	assert_dies(use_freed, small, "malloc_usable_size()");
	assert_dies(free_after_commit, small, "freed twice?");
	arena_assert_whole();
}

Test(heap_undo, the_fast_path_is_back_afterwards)
{
	heap_free(heap_alloc(100));
	const struct layout_tcache *cache = tcache_self;
	begin();
	cr_assert_neq(tcache_self, cache);
	begin();
	heap_free(heap_alloc(100));
	cr_assert_eq(arena_stats().threads, 1);
	heap_undo_commit();
	cr_assert_eq(tcache_self, cache);
	heap_undo_commit();
	heap_undo_abort();
	cr_assert_eq(tcache_self, cache);
	cr_assert_eq(heap_undo_add(&cache, 1), -EINVAL);
}

static void *begin_and_end(void *arg)
{
	char **block = arg;
	begin();
	cr_assert_eq(heap_undo_add(*block, 5), 0);
	strcpy(*block, "new");
	heap_free(*block);
	for (int i = 0; i < 100; i++)
		cr_assert_not_null(heap_alloc((size_t)i * 500));
	heap_thread_exit();
	cr_assert_null(undo_self.newest);
	begin();
	heap_free(heap_alloc(100));
	heap_undo_abort();
	heap_thread_exit();
	return NULL;
}

Test(heap_undo, a_thread_that_ends_aborts)
{
	char *block = strcpy(heap_alloc(100), "old");
	pthread_t thread;
	cr_assert_eq(pthread_create(&thread, NULL, begin_and_end, &block), 0);
	cr_assert_eq(pthread_join(thread, NULL), 0);
	cr_assert_str_eq(block, "old");
	cr_assert_eq(arena_stats().live_blocks, 1);
	cr_assert_eq(arena_stats().threads, 1);
	arena_assert_whole();
	heap_free(block);
}

static void abort_in_child(void *arg)
{
	char *block = arg;
	heap_postfork_child();
	heap_undo_abort();
	CHILD_MUST(strcmp(block, "old") == 0);
	CHILD_MUST(arena_stats().live_blocks == 1);
	CHILD_MUST(heap_check(NULL, NULL) == 0);
	heap_free(block);
	for (int i = 0; i < 1000; i++)
		heap_free(heap_alloc((size_t)i * 50));
	CHILD_MUST(arena_stats().threads == 1);
	CHILD_MUST(heap_check(NULL, NULL) == 0);
}

Test(heap_undo, parent_and_child_end_it_as_they_like)
{
	char *block = strcpy(heap_alloc(100), "old");
	begin();
	cr_assert_eq(heap_undo_add(block, 100), 0);
	strcpy(block, "new");
	char *more = heap_alloc(100000);
	heap_free(block);
	heap_prefork();
	arena_assert_child(abort_in_child, block);
	heap_postfork_parent();
	heap_undo_commit();
	cr_assert_eq(arena_stats().live_blocks, 1);
	heap_free(more);
	arena_assert_whole();
}

/* No more anonymous memory; the heap has some. */
static void run_dry(void *arg)
{
	const struct rlimit none = {0, 0};
	char **blocks = arg, byte = 1;
	CHILD_MUST(heap_undo_begin() == 0);
	CHILD_MUST(setrlimit(RLIMIT_AS, &none) == 0);
	CHILD_MUST(heap_undo_add(&byte, 1) == 0);
	byte = 2;
	CHILD_MUST(heap_undo_add(*blocks, 100000) == -ENOMEM);
	size_t got = 0;
	while (heap_alloc(100))
		got++;
	CHILD_MUST(got > 100);
	for (int i = 0; i < 100; i++)
		heap_free(blocks[i]);
	heap_undo_commit();
	CHILD_MUST(arena_stats().live_blocks == got + 100);
	CHILD_MUST(heap_check(NULL, NULL) == 0);
	CHILD_MUST(heap_undo_begin() == 0);
	CHILD_MUST(heap_undo_add(&byte, 1) == 0);
	byte = 3;
	heap_undo_abort();
	CHILD_MUST(byte == 2);
}

Test(heap_undo, without_memory_for_notes_malloc_fails_and_frees_leak)
{
	char *blocks[100];
	for (int i = 0; i < 100; i++)
		blocks[i] = heap_alloc(3000);
	arena_assert_child(run_dry, blocks);
}

Test(heap_undo, a_thread_without_room_for_a_cache_has_one_as_well)
{
	char *p = heap_alloc(100);
	heap_thread_exit();
	tcache_reset();
	arena.open_bytes_max = 0;
	state.header->tcaches = 0; /* the only cache is somebody else's */
	while (heap_alloc(100000) || heap_alloc(33000))
		;
	begin();
	cr_assert_not_null(heap_alloc(100));
	heap_free(p);
	heap_undo_abort();
	heap_free(p);
}

Test(heap_undo, an_abort_leaves_blocks_that_were_kept)
{
	char *before = heap_alloc(100);
	begin();
	char *small = heap_alloc(100), *large = heap_alloc(100000), *freed = heap_alloc(100);
	heap_free(freed);
	heap_free(before);
	heap_undo_keep();
	cr_assert_not_null(heap_alloc(100));
	heap_undo_abort();
	cr_assert_eq(arena_stats().live_blocks, 3, "not those freed, and not those that came later");
	heap_free(small);
	heap_free(large);
	heap_free(before);
	arena_assert_whole();
}

static size_t released;

static void release(void *p)
{
	(void)p;
	released++;
}

/* An exception out of a block that had allocated some ten thousand once took minutes. */
Test(heap_undo, of_foreign_blocks_those_are_kept_that_were_not_freed)
{
	const uintptr_t end = 16 * 400000;
	heap_undo_foreign(release);
	begin();
	for (uintptr_t p = 16; p <= end; p += 16)
		cr_assert_eq(heap_undo_alloc_foreign((void *)p), (void *)p);
	cr_assert(heap_undo_free_foreign((void *)(end + 16)), "of before: stays as it was");
	for (uintptr_t p = 16; p <= end; p += 64)
		cr_assert(heap_undo_free_foreign((void *)p));
	heap_undo_keep();
	heap_undo_alloc_foreign((void *)(end + 32));
	heap_undo_abort();
	cr_assert_eq(released, 100001, "a quarter, and what came later");
}

Test(heap_undo, without_a_heap_ranges_are_put_back)
{
	char text[] = "old";
	heap_destroy();
	begin();
	cr_assert_eq(heap_undo_add(text, 4), 0);
	strcpy(text, "new");
	heap_undo_abort();
	cr_assert_str_eq(text, "old");
	heap_undo_commit();
}

/* Random work, of which nothing is left after an abort and everything after a commit. */
Test(heap_undo, random_work_is_done_or_undone)
{
	enum { BLOCKS = 200 };
	arena_seed();
	shadow_open();
	static struct shadow_block before[BLOCKS];
	static uint8_t *taken;
	taken = malloc(arena.size / 16);
	for (int round = 0; round < 300; round++) {
		for (uint64_t steps = arena_random(200); steps-- != 0;)
			cr_assert(shadow_step(BLOCKS));
		const struct heap_stats stats = arena_stats();
		const size_t live = shadow.live_blocks;
		memcpy(before, shadow.blocks, sizeof(before));
		memcpy(taken, shadow.taken, arena.size / 16);
		begin();
		for (uint64_t steps = arena_random(300); steps-- != 0;)
			cr_assert(shadow_step(BLOCKS));
		if (arena_random(2)) {
			heap_undo_commit();
		} else {
			heap_undo_abort();
			memcpy(shadow.blocks, before, sizeof(before));
			memcpy(shadow.taken, taken, arena.size / 16);
			shadow.live_blocks = live;
			cr_assert_eq(arena_stats().live_bytes, stats.live_bytes);
		}
		cr_assert_eq(arena_stats().live_blocks, shadow.live_blocks);
		for (int i = 0; i < BLOCKS; i++)
			if (shadow.blocks[i].p)
				shadow_verify(&shadow.blocks[i], shadow.blocks[i].size);
		arena_assert_whole();
	}
	shadow_free_all();
	cr_assert_eq(arena_stats().live_blocks, 0);
	arena_assert_whole();
}
