/*
 * The problem: home may receive an older state of a page at any time after that was logged, and
 * only in part if the power goes. An entry with just the lines that differ from home now would
 * miss a line that was changed, logged, merged half and changed back. The trick: the mask also
 * names every line that a live entry names. The guarantee: the newest entry alone, over whatever
 * mixture of older states home holds, is the page.
 *
 * Pages without a home, and pages that became zero, are described from zeros instead: complete in
 * themselves, so such an entry stays one as long as it lives.
 */
#include "delta.h"

#include <string.h>

#define LINES (LAYOUT_BLOCK_BYTES / LAYOUT_LINE_BYTES)
#define LINE_WORDS (LAYOUT_LINE_BYTES / sizeof(uint64_t))

uint64_t delta_mask(const void *page, const void *base)
{
	static const uint64_t zero_line[LINE_WORDS];
	const uint64_t *words = page;
	const uint64_t *others = base ? base : zero_line;
	const size_t step = base ? LINE_WORDS : 0;
	uint64_t mask = 0;

	for (unsigned line = 0; line < LINES; line++) {
		uint64_t difference = 0;
		for (unsigned i = 0; i < LINE_WORDS; i++)
			difference |= words[i] ^ others[i];
		mask |= (uint64_t)(difference != 0) << line;
		words += LINE_WORDS;
		others += step;
	}
	return mask;
}

struct delta delta_of(const void *page, const void *home, const struct index_entry *live)
{
	const bool from_zeros = live ? live->kind == LAYOUT_ENTRY_ZERO : home == NULL;
	const uint64_t nonzero = delta_mask(page, NULL);

	if (from_zeros || nonzero == 0)
		return (struct delta){LAYOUT_ENTRY_ZERO, nonzero, nonzero};
	const uint64_t changed = delta_mask(page, home);
	uint64_t mask = changed;
	mask |= live ? live->mask : 0;
	return (struct delta){LAYOUT_ENTRY_LINES, mask, changed};
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

void delta_apply(void *page, uint64_t mask, const void *lines)
{
	const char *from = lines;

	for (; mask; mask &= mask - 1) {
		const unsigned line = (unsigned)__builtin_ctzll(mask);
		memcpy((char *)page + line * LAYOUT_LINE_BYTES, from, LAYOUT_LINE_BYTES);
		from += LAYOUT_LINE_BYTES;
	}
}
