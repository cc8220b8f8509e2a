/* Sumblock: checksums on their way to the table, those of one block of it. Room-private. */
#pragma once

#include <stdint.h>

#include "layout.h"

#define SUMBLOCK_SUMS (LAYOUT_BLOCK_BYTES / sizeof(uint64_t))

struct medium;

struct sumblock {
	uint64_t place;     /* of the block in the file; 0: none */
	unsigned from, end; /* what has been put, and between: to be written */
	uint64_t sums[SUMBLOCK_SUMS];
};

/* sumblock_put() - checksums side by side, at this place of the file. 0 or -errno */
int sumblock_put(struct sumblock *block, struct medium *medium, uint64_t place, unsigned count,
		 const uint64_t *sums);

/* sumblock_flush() - write what was put: then it is a write like any other. 0 or -errno, and all of
 * it is forgotten. sumblock_forget(): without writing it */
int sumblock_flush(struct sumblock *block, struct medium *medium);
void sumblock_forget(struct sumblock *block);
