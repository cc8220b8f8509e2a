/*
 * A few pages of memory and an engine that keeps them, on the disk in memory or on a file: what the
 * tests of the checkpoint room begin with.
 */
#pragma once

#include "crafted.h"

#include "../crash/disk.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/sum.h"

#ifndef PAGES
#define PAGES 16u
#endif
#define PAGE 4096u

static char memory[PAGES][PAGE] __attribute__((aligned(4096)));
static const struct region region = {
	.id = 5, .address = memory[0], .page_count = PAGES, .home = LAYOUT_USE_HEAP,
};
static const struct checkpoint_plan plan = {
	.regions = &region, .region_count = 1, .segment_bytes = 16384, .log_bytes = 5 * 16384,
};
static struct checkpoint *engine;
static struct disk disk;

static inline void make_pool_on(struct disk *on)
{
	static char head[2 * PAGE];
	int fd = crafted_open(crafted_pool("pool"));

	disk_init(on);
	disk_empty(on, LAYOUT_HEAD_BYTES + CRAFTED_BYTES);
	cr_assert_eq(pread(fd, head, sizeof(head), 0), (ssize_t)sizeof(head));
	disk_put(on, head, sizeof(head), 0);
	close(fd);
}

static inline void open_engine(struct medium *medium)
{
	cr_assert_eq(checkpoint_open(&engine, medium, &plan, &why), 0, "%s", why.line);
	cr_assert_eq(checkpoint_attach(engine), 0);
}

static inline uint64_t commit(void)
{
	uint64_t epoch = 0;

	cr_assert_eq(checkpoint_commit_compared(engine, &epoch), 0);
	return epoch;
}

static inline void assert_pages(uint64_t epoch, char first)
{
	static char page[PAGE] __attribute__((aligned(64)));

	cr_assert_eq(checkpoint_select(engine, epoch), 0);
	cr_assert_eq(checkpoint_page(engine, region.id, 0, page), 0);
	cr_assert_eq(page[0], first);
}

static inline void assert_memory(void)
{
	static char page[PAGE] __attribute__((aligned(64)));

	for (unsigned i = 0; i < PAGES; i++) {
		cr_assert_eq(checkpoint_page(engine, region.id, i, page), 0);
		cr_assert_arr_eq(page, memory[i], PAGE, "page %u", i);
	}
}

/* Several epochs, merged in part; hashes[n] is epoch n. */
static uint64_t hashes[64];

static inline void make_history(void)
{
	uint64_t random = 5;

	make_pool_on(&disk);
	open_engine(&disk.medium);
	hashes[0] = sum_bytes(memory, sizeof(memory), 0);
	for (unsigned i = 0; i < 12; i++) {
		for (unsigned stores = 3; stores; stores--)
			memory[random_below(&random, PAGES)][random_below(&random, PAGE)] = (char)(i + 1);
		if (i % 4 == 3)
			memset(memory[i], (int)i, PAGE);
		uint64_t epoch = commit();
		cr_assert_lt(epoch, 64);
		hashes[epoch] = sum_bytes(memory, sizeof(memory), 0);
		if (i == 7)
			cr_assert_eq(checkpoint_merge(engine), 0);
	}
	checkpoint_close(engine);
}
