/*
 * Where one looks for what is kept: the regions every pool of a kind has, at fixed places. All are
 * mostly holes.
 */
#include "checkpoint.h"

#include <assert.h>

#include "region-layout.h"

/* Else the first kept global would be taken for memory of keep=process. */
static_assert(CHECKPOINT_REGION_MEMORY >= LAYOUT_TABLE_FIRST_ID + LAYOUT_TABLE_REGIONS,
	      "numbers of regions are given once");

static uint64_t add_region(struct region *ret_region, uint32_t id, uint64_t pages, uint64_t offset)
{
	*ret_region = (struct region){
		.id = id,
		.page_count = pages,
		.bytes = pages * LAYOUT_BLOCK_BYTES,
		.home = LAYOUT_USE_REGIONS,
		.home_offset = offset,
	};
	return offset + pages * LAYOUT_BLOCK_BYTES;
}

size_t checkpoint_plan_regions(struct region ret_regions[CHECKPOINT_PLAN_REGIONS], enum keep keep,
			       uint64_t heap_pages)
{
	ret_regions[0] = (struct region){
		.id = CHECKPOINT_REGION_HEAP,
		.page_count = heap_pages,
		.bytes = heap_pages * LAYOUT_BLOCK_BYTES,
		.home = LAYOUT_USE_HEAP,
	};
	uint64_t at = add_region(&ret_regions[1], CHECKPOINT_REGION_TABLE, CHECKPOINT_TABLE_PAGES, 0);
	if (keep != KEEP_PROCESS)
		return 2;
	at = add_region(&ret_regions[2], CHECKPOINT_REGION_STATE, CHECKPOINT_STATE_PAGES, at);
	at = add_region(&ret_regions[3], CHECKPOINT_REGION_DIRECTORY, CHECKPOINT_DIRECTORY_PAGES, at);
	add_region(&ret_regions[4], CHECKPOINT_REGION_MEMORY, CHECKPOINT_MEMORY_PAGES, at);
	return 5;
}
