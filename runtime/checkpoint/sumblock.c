/*
 * The problem: pages that a merge takes home lie scattered, and each has a checksum of 8 bytes
 * beside it, whose write costs as much as the page's. The trick: the checksums of 512 neighbours
 * stand in one block of the table, and a merge goes in the order of the file; so the block is read
 * once, and what of it was put is written once, with those between, which stay what they are. The
 * guarantee: a block goes out before the next one comes in, so a step that ends with a flush has
 * written every checksum it has put.
 *
 * Torn, it is a mixture of old checksums and new ones, as single writes would leave it: those that
 * were only between are the same in both.
 */
#include "sumblock.h"

#include <string.h>

#include "flush/medium.h"

void sumblock_forget(struct sumblock *block)
{
	block->place = 0;
	block->from = SUMBLOCK_SUMS;
	block->end = 0;
}

int sumblock_flush(struct sumblock *block, struct medium *medium)
{
	const unsigned from = block->from, end = block->end;
	const uint64_t place = block->place;

	sumblock_forget(block);
	return place ? medium_write(medium, &block->sums[from], (end - from) * sizeof(*block->sums),
				    place + from * sizeof(*block->sums))
		     : 0;
}

static int enter(struct sumblock *block, struct medium *medium, uint64_t place)
{
	int error = sumblock_flush(block, medium);

	if (!error)
		error = medium_read(medium, block->sums, sizeof(block->sums), place);
	if (!error)
		block->place = place;
	return error;
}

int sumblock_put(struct sumblock *block, struct medium *medium, uint64_t place, unsigned count,
		 const uint64_t *sums)
{
	for (unsigned piece; count; count -= piece) {
		const unsigned at = place % LAYOUT_BLOCK_BYTES / sizeof(*sums);
		piece = count < SUMBLOCK_SUMS - at ? count : SUMBLOCK_SUMS - at;
		const uint64_t start = place - at * sizeof(*sums);
		const int error = block->place == start ? 0 : enter(block, medium, start);
		if (error)
			return error;
		memcpy(&block->sums[at], sums, piece * sizeof(*sums));
		block->from = at < block->from ? at : block->from;
		block->end = at + piece > block->end ? at + piece : block->end;
		place += piece * sizeof(*sums);
		sums += piece;
	}
	return 0;
}
