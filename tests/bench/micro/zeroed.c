/*
 * calloc: small structs and tables up to a quarter of a megabyte, all of it read.
 *
 * usage: zeroed PERCENT
 *
 * Small blocks must be cleared; fresh pages need not be, and an allocator that knows which
 * pages are fresh saves writing them.
 */
#include "bench.h"

#define SLOTS 2000

struct block {
	unsigned char *bytes;
	size_t size;
};

static void block_replace(struct block *block, struct bench_random *random)
{
	unsigned char any = 0;

	free(block->bytes);
	block->size = bench_below(random, 400) ? bench_size(random) & 4095
					       : 4096 + bench_below(random, 256 << 10);
	block->size |= 16;
	block->bytes = calloc(block->size / 16 + 1, 16);
	bench_check(block->bytes != NULL, "out of memory");
	for (size_t at = 0; at < block->size; at += 16)
		any |= block->bytes[at];
	bench_check(any == 0, "calloc returned old bytes");
	memset(block->bytes, 0xff, block->size < 256 ? block->size : 256);
	block->bytes[block->size - 1] = 0xff;
}

int main(int argc, char **argv)
{
	unsigned long steps = bench_scaled(argc, argv, 6000000);
	static struct block blocks[SLOTS];
	struct bench_random random = {9};

	for (unsigned long step = 0; step < steps; step++)
		block_replace(&blocks[bench_below(&random, SLOTS)], &random);
	for (unsigned i = 0; i < SLOTS; i++)
		free(blocks[i].bytes);
	return 0;
}
