/*
 * Sizes as real programs mix them, lifetimes at random, each thread on its own blocks.
 *
 * usage: churn-mixed PERCENT THREADS SLOTS
 *
 * Each thread keeps SLOTS live blocks and replaces a random one per step, the new size drawn
 * from bench_size(). With more threads than cores it shows what a descheduled thread's locks
 * cost. The work is divided, so CPU time over any number of threads compares.
 */
#include "bench.h"

static unsigned long steps_each;
static uint32_t slot_count;

struct block {
	unsigned char *bytes;
	size_t size;
};

static void churn(unsigned index)
{
	struct bench_random random = {index + 1};
	struct block *blocks = calloc(slot_count, sizeof(*blocks));

	bench_check(blocks != NULL, "out of memory");
	for (unsigned long step = 0; step < steps_each; step++) {
		struct block *block = &blocks[bench_below(&random, slot_count)];

		if (block->bytes) {
			bench_verify(block->bytes, block->size, block->size);
			free(block->bytes);
		}
		block->size = bench_size(&random);
		block->bytes = malloc(block->size);
		bench_mark(block->bytes, block->size, block->size);
	}
	for (uint32_t slot = 0; slot < slot_count; slot++)
		free(blocks[slot].bytes);
	free(blocks);
}

int main(int argc, char **argv)
{
	unsigned thread_count = (unsigned)bench_argument(argc, argv, 2, 1);

	steps_each = bench_scaled(argc, argv, 24000000) / thread_count;
	slot_count = (uint32_t)bench_argument(argc, argv, 3, 20000);
	bench_parallel(thread_count, churn);
	return 0;
}
