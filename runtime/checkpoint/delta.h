/*
 * Delta: what of a page must go to the log. Pure arithmetic. Room-private.
 */
#pragma once

#include "index.h"

struct delta {
	enum layout_entry_kind kind;
	uint64_t mask;
	uint64_t changed; /* those of them that differ from home */
};

/* delta_of() - the entry that makes `home` (NULL: zeros) into `page`, given the live entry of the
 * page (NULL: none) */
struct delta delta_of(const void *page, const void *home, const struct index_entry *live);

/* delta_mask() - the lines in which two pages differ; NULL is a page of zeros */
uint64_t delta_mask(const void *page, const void *base);

/* Lines out of a page, ascending, packed; and back. */
void delta_pack(void *ret_lines, const void *page, uint64_t mask);
void delta_apply(void *page, uint64_t mask, const void *lines);

static inline size_t delta_bytes(uint64_t mask)
{
	return (size_t)__builtin_popcountll(mask) * LAYOUT_LINE_BYTES;
}
