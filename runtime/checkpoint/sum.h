/*
 * Checksums: XXH3-64, from the header alone.
 *
 * A page is summed line by line, and its checksum is that of its 64 line sums: one pass tells
 * whether it changed, where, and what it must be when it is read again. Lines are seeded by the
 * pool's uuid, so that nobody who stores into a program can choose two that count as the same.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define XXH_INLINE_ALL
#define XXH_NO_STREAM
#include <xxhash.h>

#include "log-layout.h"

static inline uint64_t sum_bytes(const void *bytes, size_t len, uint64_t seed)
{
	return XXH3_64bits_withSeed(bytes, len, seed);
}

/* What a record or segment of this pool is seeded with; another pool's never fits. */
static inline uint64_t sum_seed(const uint8_t uuid[16], uint32_t branch, uint64_t previous)
{
	uint64_t words[4] = {0, 0, branch, previous};

	memcpy(words, uuid, 16);
	return XXH3_64bits(words, sizeof(words));
}

static inline bool sum_is_zero_page(const void *page)
{
	const uint64_t *words = page;

	for (size_t i = 0; i < LAYOUT_BLOCK_BYTES / sizeof(*words); i += 8)
		if (words[i] | words[i + 1] | words[i + 2] | words[i + 3] | words[i + 4] |
		    words[i + 5] | words[i + 6] | words[i + 7])
			return false;
	return true;
}

static inline void sum_lines(const void *page, uint64_t seed, uint64_t ret_lines[LAYOUT_LINES])
{
	const char *line = page;

	for (unsigned i = 0; i < LAYOUT_LINES; i++, line += LAYOUT_LINE_BYTES)
		ret_lines[i] = XXH3_64bits_withSeed(line, LAYOUT_LINE_BYTES, seed);
}

/* The checksum of a page, of which the lines' are given: 0 if and only if it is all zeros. */
static inline uint64_t sum_page(const void *page, const uint64_t lines[LAYOUT_LINES])
{
	uint64_t sum;

	if (sum_is_zero_page(page))
		return 0;
	sum = XXH3_64bits(lines, LAYOUT_LINES * sizeof(lines[0]));
	return sum ? sum : 1;
}
