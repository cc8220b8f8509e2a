/*
 * Blocks of 64 KiB to 8 MiB come and go: image buffers, I/O buffers, matrices.
 *
 * usage: large PERCENT THREADS
 *
 * Each block has every fourth page touched. An allocator that returns memory at each free pays
 * a page fault per page again and again; one that never does pays in peak memory. Both columns
 * are the result.
 */
#include "bench.h"

#define SLOTS 24
#define PAGE 4096

static unsigned long steps_each;

struct block {
	unsigned char *bytes;
	size_t size;
};

static void block_fill(struct block *block)
{
	for (size_t at = 0; at < block->size; at += 4 * PAGE)
		block->bytes[at] = (unsigned char)(at >> 12);
}

static void block_verify(const struct block *block)
{
	for (size_t at = 0; at < block->size; at += 4 * PAGE)
		bench_check(block->bytes[at] == (unsigned char)(at >> 12),
			    "a block lost its bytes");
}

/* 64 KiB << 0..7, less up to a half: small ones much more often. */
static size_t draw_size(struct bench_random *random)
{
	unsigned shift = (unsigned)__builtin_ctz(bench_below(random, 128) | 128);
	size_t size = (size_t)65536 << shift;

	return size - bench_below(random, (uint32_t)size / 2);
}

static void churn(unsigned index)
{
	struct bench_random random = {index + 21};
	struct block blocks[SLOTS] = {0};

	for (unsigned long step = 0; step < steps_each; step++) {
		struct block *block = &blocks[bench_below(&random, SLOTS)];

		if (block->bytes)
			block_verify(block);
		free(block->bytes);
		block->size = draw_size(&random);
		block->bytes = malloc(block->size);
		bench_check(block->bytes != NULL, "out of memory");
		block_fill(block);
	}
	for (unsigned i = 0; i < SLOTS; i++)
		free(blocks[i].bytes);
}

int main(int argc, char **argv)
{
	unsigned thread_count = (unsigned)bench_argument(argc, argv, 2, 1);

	steps_each = bench_scaled(argc, argv, 800000) / thread_count;
	bench_parallel(thread_count, churn);
	return 0;
}
