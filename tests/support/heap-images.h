/*
 * A heap's image, taken and loaded as a new process would find it; and threads that leave in it what
 * they had cached.
 */
#pragma once

#include "shadow.h"

#include "heap/sizeclass.h"

#define SIZE (128 * MIB)

/* The bytes of the range, where they were open. */
static struct image {
	char *bytes;
	struct heap_extent extents[HEAP_EXTENTS];
} image;

static struct heap_finding why;

static inline void image_take(void)
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
static inline void image_load(void)
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

static inline void image_attach(void)
{
	image_load();
	cr_assert_eq(heap_attach(&arena_memory, arena.base, SIZE, SIZE, &why), 0, "%s at 0x%zx",
		     why.what, why.offset);
	arena_assert_whole();
}

static inline void again(void)
{
	image_take();
	image_attach();
}

static pthread_barrier_t start, finish;

/* Fills a cache in every class, leaves some blocks alive, and is gone without a goodbye. */
static inline void *live_and_die(void *arg)
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

static inline void live_and_die_in_threads(void)
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
