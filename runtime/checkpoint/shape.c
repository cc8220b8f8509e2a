/*
 * The problem: regions come while the program runs, the heap has grown since the last run, and
 * every page needs room in home and for its checksum before its first entry is merged. The trick:
 * one update of the superblock adds all that is missing, after the file has become longer; spaces
 * at least double, for the table of extents is short and what is added is a hole. The guarantee:
 * a superblock never promises more than the file has.
 */
#include "shape.h"

#include <string.h>

#include "region.h"

static int extend(struct layout_superblock *sb, enum layout_use use, uint64_t needed)
{
	const uint64_t have = space_bytes(sb, use);

	if (have >= needed)
		return 0;
	uint64_t len = needed - have > have ? needed - have : have;
	return space_extend(sb, use, (len + LAYOUT_CHUNK_BYTES - 1) & ~(LAYOUT_CHUNK_BYTES - 1));
}

static int extend_sums(struct layout_superblock *sb, enum layout_use home)
{
	return extend(sb, region_sums_use(home),
		      space_bytes(sb, home) / LAYOUT_BLOCK_BYTES * sizeof(uint64_t));
}

int shape_pool(struct anchor *anchor, uint64_t regions_bytes, uint64_t segment_bytes)
{
	struct layout_superblock next = anchor->sb;
	int error = extend(&next, LAYOUT_USE_REGIONS, regions_bytes);

	if (!error)
		error = extend_sums(&next, LAYOUT_USE_HEAP);
	if (!error)
		error = extend_sums(&next, LAYOUT_USE_REGIONS);
	if (!next.segment_bytes) {
		next.segment_bytes = segment_bytes;
		if (!error) /* the first epoch need not wait for it */
			error = extend(&next, LAYOUT_USE_LOG, segment_bytes);
	}
	if (error)
		return error;
	if (memcmp(&next, &anchor->sb, sizeof(next)) == 0) /* the last time it may have got half-way */
		return anchor->is_adopted ? anchor_settle(anchor) : 0;
	error = anchor_adopt(anchor);
	if (!error)
		error = medium_extend(anchor->medium, space_file_bytes(&next));
	return error ? error : anchor_update(anchor, &next);
}

int shape_forget_sums(struct anchor *anchor)
{
	const struct layout_superblock *sb = &anchor->sb;
	int error = 0;

	for (uint32_t i = 0; !error && i < sb->extent_count; i++)
		if (sb->extents[i].use == LAYOUT_USE_HEAP_SUMS ||
		    sb->extents[i].use == LAYOUT_USE_REGION_SUMS)
			error = medium_punch(anchor->medium, sb->extents[i].file_offset,
					     sb->extents[i].len);
	return error ? error : medium_sync(anchor->medium);
}
