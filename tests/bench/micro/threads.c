/*
 * Threads that live for a moment: a thread per request, a few dozen blocks each.
 *
 * usage: threads PERCENT
 *
 * Counts what a thread's first malloc and its end cost: making a cache, giving it back, and
 * whether dead threads' memory is found again.
 */
#include "bench.h"

#define BLOCKS 60
#define TOGETHER 4

static unsigned char *kept[TOGETHER];

static void handle_request(unsigned index)
{
	struct bench_random random = {index};
	unsigned char *blocks[BLOCKS];
	size_t sizes[BLOCKS];

	for (unsigned i = 0; i < BLOCKS; i++) {
		sizes[i] = bench_size(&random);
		blocks[i] = malloc(sizes[i]);
		bench_mark(blocks[i], sizes[i], i);
	}
	for (unsigned i = 0; i < BLOCKS; i++) {
		bench_verify(blocks[i], sizes[i], i);
		free(blocks[i]);
	}
	free(kept[index]);
	kept[index] = malloc(100);
	bench_mark(kept[index], 100, index);
}

int main(int argc, char **argv)
{
	unsigned long rounds = bench_scaled(argc, argv, 10000);

	for (unsigned long round = 0; round < rounds; round++)
		bench_parallel(TOGETHER, handle_request);
	for (unsigned i = 0; i < TOGETHER; i++)
		free(kept[i]);
	return 0;
}
