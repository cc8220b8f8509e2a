/*
 * Linesums: the sums of all lines of many pages, each page's under a number. Room-private.
 *
 * Nothing that is lost with them: they can be had again from the page.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "log-layout.h"

#define LINESUMS_NONE 0u

/* Numbers below `end` have been given out, but 0; those given back hang on `free`. */
struct linesums {
	uint64_t (**chunks)[LAYOUT_LINES];
	size_t chunk_count;
	size_t chunk_capacity;
	uint32_t end;
	uint32_t free;
	uint32_t used;
};

void linesums_deinit(struct linesums *store);
int linesums_take(struct linesums *store, uint32_t *ret_number); /* -ENOMEM */
void linesums_give(struct linesums *store, uint32_t number);
void linesums_expect(const struct linesums *store, uint32_t number); /* a prefetch */
uint64_t *linesums_at(const struct linesums *store, uint32_t number);
