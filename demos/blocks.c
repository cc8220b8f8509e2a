/*
 * Blocks of fixed size, each written whole or not at all. What libpmemblk does, on one block of
 * malloc.
 *
 * A write in place is enough: no epoch is taken inside of the transaction, so none ever holds a
 * block that is half old and half new. `bare` leaves the transaction away, to see what it is for.
 *
 * usage: blocks [bare]    looks at what is there, then writes until it is killed
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "heapsake.h"

#define BLOCKS 64u
#define BLOCK_BYTES (64u << 10)
#define WORDS (BLOCK_BYTES / sizeof(uint64_t))

struct blocks {
	uint64_t writes;
	uint64_t at[BLOCKS][WORDS];
};

static struct blocks *blocks_open(void)
{
	struct blocks *blocks = hsk_root("blocks");

	if (!blocks)
		HSK_TX {
			blocks = calloc(1, sizeof(*blocks));
			if (!blocks || hsk_set_root("blocks", blocks))
				exit(1);
		}
	return blocks;
}

static void write_in_place(struct blocks *blocks, unsigned block, const uint64_t *bytes)
{
	memcpy(blocks->at[block], bytes, BLOCK_BYTES);
	blocks->writes++;
}

static void blocks_write(struct blocks *blocks, unsigned block, const uint64_t *bytes)
{
	HSK_TX { write_in_place(blocks, block, bytes); }
}

/* Where write number n goes; n fills it. */
static unsigned block_of(uint64_t n)
{
	return (unsigned)(n * UINT64_C(0x9e3779b97f4a7c15) >> 58);
}

static unsigned torn_blocks(const struct blocks *blocks)
{
	uint64_t last[BLOCKS] = {0};
	unsigned torn = 0;

	for (uint64_t n = 1; n <= blocks->writes; n++)
		last[block_of(n)] = n;
	for (unsigned block = 0; block < BLOCKS; block++)
		for (unsigned i = 0; i < WORDS; i++)
			if (blocks->at[block][i] != last[block]) {
				torn++;
				break;
			}
	return torn;
}

int main(int argc, char **argv)
{
	static uint64_t bytes[WORDS];
	struct blocks *blocks = blocks_open();
	const int is_bare = argc > 1 && strcmp(argv[1], "bare") == 0;

	printf("%llu writes, %u blocks torn\n", (unsigned long long)blocks->writes, torn_blocks(blocks));
	fflush(stdout);
	for (;;) {
		const uint64_t n = blocks->writes + 1;
		for (unsigned i = 0; i < WORDS; i++)
			bytes[i] = n;
		if (is_bare)
			write_in_place(blocks, block_of(n), bytes);
		else
			blocks_write(blocks, block_of(n), bytes);
	}
}
