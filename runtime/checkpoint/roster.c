/*
 * The problem: every page that is staged, read or merged asks for its region, regions are added
 * while that goes on, and hundreds of modules may have one each. The trick: a fixed array and a
 * fixed hash table over it; nothing is ever removed, for a region lives as long as the pool. The
 * guarantee: two regions never share a byte of home.
 */
#include "roster.h"

#include <errno.h>

static uint16_t *slot_of(const struct roster *roster, uint32_t region_id)
{
	uint32_t at = region_id * UINT32_C(0x9e3779b1) >> 16;

	for (;; at++) {
		const uint16_t *slot = &roster->slots[at & (ROSTER_SLOTS - 1)];
		if (!*slot || roster->regions[*slot - 1].id == region_id)
			return (uint16_t *)slot;
	}
}

const struct region *roster_find(const struct roster *roster, uint32_t region_id)
{
	const uint16_t slot = *slot_of(roster, region_id);

	return slot ? &roster->regions[slot - 1] : NULL;
}

static uint64_t home_end(const struct region *region)
{
	return region->home_offset + region->page_count * LAYOUT_BLOCK_BYTES;
}

static bool is_region(const struct region *region)
{
	return region->id && region->id <= LAYOUT_REGION_MAX && region->page_count &&
	       region->page_count <= LAYOUT_PAGE_MAX &&
	       (region_bytes(region) + LAYOUT_BLOCK_BYTES - 1) / LAYOUT_BLOCK_BYTES ==
		       region->page_count && region->home_offset < UINT64_C(1) << 62 &&
	       region->home_offset % LAYOUT_BLOCK_BYTES == 0 &&
	       (region->home == LAYOUT_USE_HEAP || region->home == LAYOUT_USE_REGIONS);
}

static bool is_disjoint(const struct region *one, const struct region *other)
{
	return one->home != other->home || home_end(one) <= other->home_offset ||
	       home_end(other) <= one->home_offset;
}

int roster_add(struct roster *roster, const struct region *region)
{
	if (!is_region(region))
		return -EINVAL;
	if (roster->count == ROSTER_MAX)
		return -ENOSPC;
	for (uint32_t i = 0; i < roster->count; i++)
		if (roster->regions[i].id == region->id ||
		    !is_disjoint(&roster->regions[i], region))
			return -EEXIST;
	uint16_t *slot = slot_of(roster, region->id);
	roster->regions[roster->count] = *region;
	*slot = (uint16_t)++roster->count;
	return 0;
}

void roster_move(struct roster *roster, const struct region *region)
{
	const uint16_t slot = *slot_of(roster, region->id);

	if (!slot)
		return;
	roster->regions[slot - 1].address = region->address;
	roster->regions[slot - 1].bytes = region->bytes;
}

uint64_t roster_end(const struct roster *roster, enum layout_use home)
{
	uint64_t end = 0;

	for (uint32_t i = 0; i < roster->count; i++)
		if (roster->regions[i].home == home && home_end(&roster->regions[i]) > end)
			end = home_end(&roster->regions[i]);
	return end;
}
