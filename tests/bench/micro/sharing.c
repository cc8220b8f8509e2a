/*
 * False sharing: do two threads' blocks lie in one cache line?
 *
 * usage: sharing PERCENT THREADS passive|active
 *
 * Active: every thread allocates small blocks of its own at the same time and writes them.
 * Passive: one thread allocates neighbours and gives one to each thread, which frees it first;
 * if the next malloc returns that very block, the lines stay shared for good. Wall time shows
 * it on machines with true cores; CPU time shows it everywhere.
 */
#include "bench.h"

#define BLOCK 8
#define WRITES 400

static unsigned long rounds_each;
static unsigned char *gifts[BENCH_MAX_THREADS];

static void write_own(unsigned index)
{
	free(gifts[index]);
	for (unsigned long round = 0; round < rounds_each; round++) {
		volatile unsigned char *block = malloc(BLOCK);

		bench_check(block != NULL, "out of memory");
		for (unsigned i = 0; i < WRITES; i++)
			block[i % BLOCK] = (unsigned char)(i + index);
		bench_check(block[(WRITES - 1) % BLOCK] == (unsigned char)(WRITES - 1 + index),
			    "a block lost its bytes");
		free((void *)block);
	}
}

int main(int argc, char **argv)
{
	unsigned thread_count = (unsigned)bench_argument(argc, argv, 2, 2);

	rounds_each = bench_scaled(argc, argv, 3000000) / thread_count;
	if (argc > 3 && strcmp(argv[3], "passive") == 0)
		for (unsigned i = 0; i < thread_count; i++)
			gifts[i] = malloc(BLOCK);
	bench_parallel(thread_count, write_own);
	return 0;
}
