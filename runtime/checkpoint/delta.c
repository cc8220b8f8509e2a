/*
 * The problem: of a page with one store in it not 4096 bytes should go to the log, but a few, and
 * to find out which must cost less than to write them all. The trick: lines of 64 bytes are told
 * apart by their sums, which are needed anyway for the page's checksum; what the page was last is
 * neither read nor kept. The guarantee: a line whose sum has changed is named.
 */
#include "delta.h"

#include <string.h>

uint64_t delta_mask(const uint64_t sums[LAYOUT_LINES], const uint64_t others[LAYOUT_LINES])
{
	uint64_t mask = 0;

	for (unsigned line = 0; line < LAYOUT_LINES; line++)
		mask |= (uint64_t)(sums[line] != others[line]) << line;
	return mask;
}

void delta_pack(void *ret_lines, const void *page, uint64_t mask)
{
	char *to = ret_lines;

	for (; mask; mask &= mask - 1) {
		const unsigned line = (unsigned)__builtin_ctzll(mask);
		memcpy(to, (const char *)page + line * LAYOUT_LINE_BYTES, LAYOUT_LINE_BYTES);
		to += LAYOUT_LINE_BYTES;
	}
}

void delta_apply(void *page, uint64_t mask, uint64_t wanted, const void *lines)
{
	const char *from = lines;

	for (; mask; mask &= mask - 1) {
		const unsigned line = (unsigned)__builtin_ctzll(mask);
		if (wanted >> line & 1)
			memcpy((char *)page + line * LAYOUT_LINE_BYTES, from, LAYOUT_LINE_BYTES);
		from += LAYOUT_LINE_BYTES;
	}
}
