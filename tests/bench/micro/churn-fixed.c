/*
 * One size, replaced at random: the fast path and nothing else.
 *
 * usage: churn-fixed PERCENT SIZE SLOTS
 *
 * Every step frees one of SLOTS blocks and allocates it anew. One slot is the plain malloc/free
 * pair; a few thousand stay in the thread cache and the CPU's cache; hundreds of thousands miss
 * both, so that the order in which freed blocks come back begins to count.
 */
#include "bench.h"

int main(int argc, char **argv)
{
	unsigned long steps = bench_scaled(argc, argv, 40000000);
	size_t size = bench_argument(argc, argv, 2, 64);
	uint32_t slot_count = (uint32_t)bench_argument(argc, argv, 3, 4096);
	struct bench_random random = {1};
	void **slots = calloc(slot_count, sizeof(*slots));

	bench_check(slots != NULL, "out of memory");
	for (unsigned long step = 0; step < steps; step++) {
		uint32_t slot = bench_below(&random, slot_count);

		if (slots[slot]) {
			bench_verify(slots[slot], size, slot);
			free(slots[slot]);
		}
		slots[slot] = malloc(size);
		bench_mark(slots[slot], size, slot);
	}
	for (uint32_t slot = 0; slot < slot_count; slot++)
		free(slots[slot]);
	free(slots);
	return 0;
}
