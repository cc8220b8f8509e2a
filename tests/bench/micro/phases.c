/*
 * Allocate everything, free everything: forwards, backwards, at random.
 *
 * usage: phases PERCENT
 *
 * A compiler's or a batch job's life. Nothing is reused within a phase, so memory comes fresh
 * and goes back whole: the path from the operating system and back, and how well runs of free
 * blocks find together again.
 */
#include "bench.h"

struct block {
	unsigned char *bytes;
	size_t size;
};

enum order { FORWARDS, BACKWARDS, AT_RANDOM, ORDER_COUNT };

static void blocks_shuffle(struct block *blocks, uint32_t count, struct bench_random *random)
{
	for (uint32_t i = count; i > 1; i--) {
		uint32_t j = bench_below(random, i);
		struct block block = blocks[i - 1];

		blocks[i - 1] = blocks[j];
		blocks[j] = block;
	}
}

static void block_free(struct block *block)
{
	bench_verify(block->bytes, block->size, block->size);
	free(block->bytes);
}

static void run_phase(struct block *blocks, uint32_t count, enum order order,
		      struct bench_random *random)
{
	for (uint32_t i = 0; i < count; i++) {
		blocks[i].size = bench_size(random);
		blocks[i].bytes = malloc(blocks[i].size);
		bench_mark(blocks[i].bytes, blocks[i].size, blocks[i].size);
	}
	if (order == AT_RANDOM)
		blocks_shuffle(blocks, count, random);
	for (uint32_t i = 0; i < count; i++)
		block_free(&blocks[order == BACKWARDS ? count - 1 - i : i]);
}

int main(int argc, char **argv)
{
	uint32_t count = (uint32_t)bench_scaled(argc, argv, 300000);
	struct bench_random random = {23};
	struct block *blocks = malloc(count * sizeof(*blocks));

	bench_check(blocks != NULL, "out of memory");
	for (unsigned round = 0; round < 4 * ORDER_COUNT; round++)
		run_phase(blocks, count, round % ORDER_COUNT, &random);
	free(blocks);
	return 0;
}
