/*
 * Roster: the regions the engine keeps, found by their numbers. Room-private.
 *
 * A copy of its own, in one piece: regions come while the committer runs, which must not allocate.
 */
#pragma once

#include <stdbool.h>

#include "region.h"

#define ROSTER_MAX 320u
#define ROSTER_SLOTS 1024u /* a power of two, never half full */

/* Invariant: ids differ, and homes in the same space do not overlap. */
struct roster {
	struct region regions[ROSTER_MAX]; /* in the order they came */
	uint32_t count;
	uint16_t slots[ROSTER_SLOTS]; /* by id: 1 + place in `regions`; 0: none */
};

const struct region *roster_find(const struct roster *roster, uint32_t region_id);

/* roster_add() - 0; -EINVAL: not a region; -EEXIST: its id or a part of its home is taken;
 * -ENOSPC: too many */
int roster_add(struct roster *roster, const struct region *region);

/* roster_move() - where the memory of a region is now, and where it ends */
void roster_move(struct roster *roster, const struct region *region);

/* roster_end() - the offset behind the last home in that space */
uint64_t roster_end(const struct roster *roster, enum layout_use home);
