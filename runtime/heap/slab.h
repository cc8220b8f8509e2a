/*
 * Slabs: spans cut into slots of one class. Everything here wants the slab lock of the shard and
 * class held; it takes the page lock itself.
 */
#pragma once

#include <stdbool.h>

#include "state.h"

/* Slots [first, end) of a slab, CACHED now. */
struct slab_run {
	struct layout_span *span;
	uint32_t first, end;
};

/* slab_take() - up to `want` adjacent free slots, those with the lowest index of the slab in
 * use; may_grow: make a new slab if there is none worth using. false: none to be had. */
bool slab_take(unsigned shard, unsigned class, uint32_t want, bool may_grow,
	       struct slab_run *ret_run);

/* slab_has_free() - some slab has free slots */
bool slab_has_free(unsigned shard, unsigned class);

/* slab_give() - CACHED slots of one slab are free again; the slab goes when it is wholly free and
 * not the last of its list */
void slab_give(struct layout_span *span, const struct layout_entry *entries, uint32_t count);

/* slab_trim() - release every wholly free slab, the last of a list as well. Takes the locks. */
void slab_trim(void);
