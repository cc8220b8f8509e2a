/*
 * Index: from a page to the newest entry of the log that says what it is. Room-private.
 *
 * A hash table in anonymous memory of its own; no allocator, so that the committer can use it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "log-layout.h"

struct index_entry {
	uint64_t key;    /* region_key(); 0: an empty place */
	uint64_t mask;
	uint64_t sum;
	uint64_t lines;  /* offset in the log of the first line */
	uint64_t seq;    /* of its record */
	enum layout_entry_kind kind;
};

struct index {
	struct index_entry *entries;
	size_t capacity; /* a power of two; at most half is used */
	size_t count;
};

void index_init(struct index *index);
void index_deinit(struct index *index);
void index_clear(struct index *index);
/* index_reset() - the same; a large one gives its memory back */
void index_reset(struct index *index);
const struct index_entry *index_find(const struct index *index, uint64_t key);

/* index_reserve() - room for `more` further entries: that many puts cannot fail; -ENOMEM */
int index_reserve(struct index *index, size_t more);
/* index_put() - replaces the entry of that page */
int index_put(struct index *index, const struct index_entry *entry);
int index_put_all(struct index *index, const struct index *from);

/* index_shrink() - give memory back that so few entries do not need; what was reserved goes, too */
void index_shrink(struct index *index);

/* index_forget() - drop all entries of records up to and with seq */
void index_forget(struct index *index, uint64_t seq);
