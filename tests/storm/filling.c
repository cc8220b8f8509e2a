/*
 * Grows by 20 kB a step, up to 40 MB, gives all back and begins anew. Each step is durable, or the
 * program is told why it is not, and goes on: it says 'd' and the error then.
 */
#include "storm.h"

#define BLOCK_BYTES 20000
#define BLOCKS_MAX 2000

struct block {
	struct block *next;
	uint64_t number;
	char bytes[BLOCK_BYTES];
};

HSK_KEEP static struct block *blocks;
HSK_KEEP static uint64_t count;
HSK_KEEP static uint64_t steps;

static void clear(void)
{
	for (struct block *next; blocks; blocks = next) {
		next = blocks->next;
		free(blocks);
	}
	count = 0;
}

static void step(void)
{
	struct block *block;

	if (count == BLOCKS_MAX || !(block = malloc(sizeof(*block)))) {
		clear();
		return;
	}
	block->next = blocks;
	block->number = ++steps;
	fill(block->bytes, sizeof(block->bytes), (unsigned)block->number);
	blocks = block;
	count++;
}

static void verify(void)
{
	uint64_t found = 0;

	for (const struct block *block = blocks; block; block = block->next, found++) {
		MUST(block->number == steps - found);
		MUST(is_filled(block->bytes, sizeof(block->bytes), (unsigned)block->number));
	}
	MUST(found == count);
}

int main(void)
{
	verify();
	storm_found(0, steps);
	for (;;) {
		HSK_TX_DURABLE { step(); }
		if (hsk_status() == 0) {
			storm_acknowledge(0, steps);
		} else {
			storm_say('d', (unsigned)-hsk_status(), steps);
			usleep(10000);
		}
	}
}
