/*
 * A server's churn: generations of threads, each inheriting the blocks of the one before it.
 *
 * usage: server PERCENT THREADS
 *
 * A thread replaces random blocks of its set, hands the set to a new thread and ends. So most
 * blocks are freed by another thread than the one that made them, and thread caches die full:
 * what Larson and Krishnan saw in long-running servers.
 */
#include "bench.h"

#define SET_BLOCKS 1000
#define GENERATIONS 50

static unsigned long steps_each;
static struct block {
	unsigned char *bytes;
	size_t size;
} sets[BENCH_MAX_THREADS][SET_BLOCKS];

static void serve(unsigned index)
{
	static uint64_t generation;
	struct bench_random random = {__atomic_add_fetch(&generation, 1, __ATOMIC_RELAXED)};

	for (unsigned long step = 0; step < steps_each; step++) {
		struct block *block = &sets[index][bench_below(&random, SET_BLOCKS)];

		if (block->bytes) {
			bench_verify(block->bytes, block->size, block->size);
			free(block->bytes);
		}
		block->size = 10 + bench_below(&random, 990);
		block->bytes = malloc(block->size);
		bench_mark(block->bytes, block->size, block->size);
	}
}

int main(int argc, char **argv)
{
	unsigned thread_count = (unsigned)bench_argument(argc, argv, 2, 4);

	steps_each = bench_scaled(argc, argv, 16000000) / thread_count / GENERATIONS + 1;
	for (unsigned generation = 0; generation < GENERATIONS; generation++)
		bench_parallel(thread_count, serve);
	for (unsigned i = 0; i < thread_count; i++)
		for (unsigned j = 0; j < SET_BLOCKS; j++)
			free(sets[i][j].bytes);
	return 0;
}
