/*
 * Pageset: pages of a region that must be looked at, one bit each. Any thread adds; the committer
 * takes. Room-private.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct pageset {
	uint64_t *words;  /* a bit a page; NULL: closed */
	uint64_t *groups; /* a bit for 64 words of them, set if any of their bits may be */
	uint64_t page_count;
};

int pageset_open(struct pageset *ret_set, uint64_t page_count); /* 0 or -ENOMEM */
void pageset_close(struct pageset *set);
void pageset_add(struct pageset *set, uint64_t page, uint64_t page_count);
bool pageset_has(const struct pageset *set, uint64_t page);
bool pageset_is_empty(const struct pageset *set); /* nothing was added since it was taken */
/* pageset_take() - visit all that are in it, ascending, and take them out; NULL: just that. What is
 * added meanwhile is visited now or the next time */
void pageset_take(struct pageset *set, void (*visit)(void *context, uint64_t page), void *context);
