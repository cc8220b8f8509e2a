/*
 * Delta: what of a page must go to the log. Pure arithmetic. Room-private.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "log-layout.h"

/* delta_mask() - the lines in which two pages differ, by the sums of their lines */
uint64_t delta_mask(const uint64_t sums[LAYOUT_LINES], const uint64_t others[LAYOUT_LINES]);

/* Lines out of a page, ascending, packed; and those of them back that `wanted` names. */
void delta_pack(void *ret_lines, const void *page, uint64_t mask);
void delta_apply(void *page, uint64_t mask, uint64_t wanted, const void *lines);

static inline size_t delta_bytes(uint64_t mask)
{
	return (size_t)__builtin_popcountll(mask) * LAYOUT_LINE_BYTES;
}
