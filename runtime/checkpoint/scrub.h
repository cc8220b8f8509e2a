/* Scrub: pages compared with what was committed, by the block of their checksums. Room-private. */
#pragma once

#include "engine.h"

#define SCRUB_PIECE_PAGES 64u

struct scrub {
	struct checkpoint *checkpoint;
	const struct region *region;
	uint64_t seq;         /* of the entries up to there the newest says what a page is */
	bool is_at_rest_only; /* pages without one alone: who uses the others verifies them */
	checkpoint_hear *hear;
	void *context;
	char *buffer;         /* SCRUB_PIECE_PAGES of them */
	uint64_t pages;       /* looked at */
	uint64_t read;        /* and read, with those between */
	uint64_t read_most;   /* then it is enough for now */
};

/* scrub_block_end() - the pages from `first` on up to there have their checksums in one block */
uint64_t scrub_block_end(const struct region *region, uint64_t first);

/* scrub_block() - verify these pages, of one block, and say how many that were: at least one, all
 * unless it was enough. What hear() returns, if not 0 */
int scrub_block(struct scrub *scrub, uint64_t first, uint64_t count, uint64_t *ret_done);
