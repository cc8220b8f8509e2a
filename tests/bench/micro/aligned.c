/*
 * Aligned blocks among ordinary ones: SIMD buffers, page buffers, C++ over-aligned types.
 *
 * usage: aligned PERCENT
 */
#include "bench.h"

#define SLOTS 4000

struct block {
	unsigned char *bytes;
	size_t size;
};

static void block_replace(struct block *block, struct bench_random *random)
{
	size_t alignment = (size_t)16 << bench_below(random, 9);
	void *bytes = NULL;

	if (block->bytes)
		bench_verify(block->bytes, block->size, block->size);
	free(block->bytes);
	block->size = bench_size(random);
	if (bench_below(random, 2))
		bytes = aligned_alloc(alignment, (block->size + alignment - 1) & -alignment);
	else
		bench_check(posix_memalign(&bytes, alignment, block->size) == 0,
			    "out of memory");
	bench_check(((uintptr_t)bytes & (alignment - 1)) == 0, "a block is not aligned");
	bench_mark(bytes, block->size, block->size);
	block->bytes = bytes;
}

int main(int argc, char **argv)
{
	unsigned long steps = bench_scaled(argc, argv, 6000000);
	static struct block blocks[SLOTS];
	struct bench_random random = {13};

	for (unsigned long step = 0; step < steps; step++)
		block_replace(&blocks[bench_below(&random, SLOTS)], &random);
	for (unsigned i = 0; i < SLOTS; i++)
		free(blocks[i].bytes);
	return 0;
}
