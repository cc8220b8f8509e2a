/*
 * Index: from a page to one number. Room-private.
 *
 * A hash table in anonymous memory of its own; no allocator, so that the committer can use it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct index_entry {
	uint64_t key; /* region_key(); 0: an empty place */
	uint64_t value;
};

struct index {
	struct index_entry *entries;
	size_t capacity; /* a power of two; at most half is used */
	size_t count;
};

void index_deinit(struct index *index);
const struct index_entry *index_find(const struct index *index, uint64_t key);
/* index_expect() - soon it will be looked for: a prefetch */
void index_expect(const struct index *index, uint64_t key);

/* index_put() - replaces what is said of that page, and then cannot fail; -ENOMEM */
int index_put(struct index *index, uint64_t key, uint64_t value);
void index_remove(struct index *index, uint64_t key);

/* index_shrink() - give memory back that so few entries do not need */
void index_shrink(struct index *index);
