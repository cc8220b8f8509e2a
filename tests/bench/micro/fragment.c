/*
 * Steady state, moving sizes: how much memory does a long life cost?
 *
 * usage: fragment PERCENT THREADS
 *
 * Every thread holds live blocks up to a fixed number of bytes and replaces random ones, while
 * the sizes it asks for drift from phase to phase. The bytes in use stay level, so whatever
 * peak memory grows by is fragmentation: space freed in one size that serves no other.
 */
#include "bench.h"

#define PHASES 12
#define LIVE_BYTES (48ul << 20)
#define SLOTS 400000

static unsigned thread_count;
static unsigned long steps_each;

struct block {
	unsigned char *bytes;
	size_t size;
};

struct population {
	struct block *blocks;
	uint32_t slot_count, live_count;
	size_t live_bytes, limit_bytes;
	struct bench_random random;
};

static void population_drop(struct population *population)
{
	struct block *block =
		&population->blocks[bench_below(&population->random, population->live_count)];

	bench_verify(block->bytes, block->size, block->size);
	free(block->bytes);
	population->live_bytes -= block->size;
	*block = population->blocks[--population->live_count];
}

static void population_add(struct population *population, size_t size)
{
	struct block *block;

	while (population->live_count &&
	       (population->live_bytes + size > population->limit_bytes ||
		population->live_count == population->slot_count))
		population_drop(population);
	block = &population->blocks[population->live_count++];
	block->size = size;
	block->bytes = malloc(size);
	bench_mark(block->bytes, size, size);
	memset(block->bytes, (int)size, size);
	population->live_bytes += size;
}

static void drift(unsigned index)
{
	struct population population = {
		.slot_count = SLOTS / thread_count,
		.limit_bytes = LIVE_BYTES / thread_count,
		.random = {index + 31},
	};

	population.blocks = malloc(population.slot_count * sizeof(*population.blocks));
	bench_check(population.blocks != NULL, "out of memory");
	for (unsigned long step = 0; step < steps_each; step++) {
		unsigned phase = (unsigned)(step * PHASES / steps_each);
		size_t size = bench_size(&population.random);

		/* Each phase stretches the sizes by another factor, between 1 and 4. */
		population_add(&population, size + size * ((phase * 7) % PHASES) / 4);
	}
	while (population.live_count)
		population_drop(&population);
	free(population.blocks);
}

int main(int argc, char **argv)
{
	thread_count = (unsigned)bench_argument(argc, argv, 2, 1);
	steps_each = bench_scaled(argc, argv, 4000000) / thread_count;
	bench_parallel(thread_count, drift);
	return 0;
}
