/*
 * The problem: a pool grows while it is used, so that homes, checksums and the log are strewn
 * over the file in pieces. The trick: each of them is a space, and the pieces of a space follow
 * one another in the order of the superblock's table, so that one sum finds the place. The
 * guarantee: places never change, for the table is only ever added to at its end.
 */
#include "region.h"

#include <errno.h>

uint64_t space_bytes(const struct layout_superblock *sb, enum layout_use use)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < sb->extent_count; i++)
		if (sb->extents[i].use == (uint32_t)use)
			bytes += sb->extents[i].len;
	return bytes;
}

uint64_t space_run(const struct layout_superblock *sb, enum layout_use use, uint64_t offset,
		   uint64_t *ret_bytes)
{
	*ret_bytes = 0;
	for (uint32_t i = 0; i < sb->extent_count; i++) {
		if (sb->extents[i].use != (uint32_t)use)
			continue;
		if (offset < sb->extents[i].len) {
			*ret_bytes = sb->extents[i].len - offset;
			return sb->extents[i].file_offset + offset;
		}
		offset -= sb->extents[i].len;
	}
	return 0;
}

uint64_t space_place(const struct layout_superblock *sb, enum layout_use use, uint64_t offset)
{
	uint64_t bytes;

	return space_run(sb, use, offset, &bytes);
}

uint64_t space_file_bytes(const struct layout_superblock *sb)
{
	uint64_t end = LAYOUT_HEAD_BYTES;

	for (uint32_t i = 0; i < sb->extent_count; i++) {
		uint64_t extent_end = sb->extents[i].file_offset + sb->extents[i].len;
		end = extent_end > end ? extent_end : end;
	}
	return end;
}

int space_extend(struct layout_superblock *sb, enum layout_use use, uint64_t len)
{
	uint64_t end = space_file_bytes(sb);
	struct layout_extent *last = NULL;

	for (uint32_t i = 0; i < sb->extent_count; i++)
		if (sb->extents[i].use == (uint32_t)use)
			last = &sb->extents[i];
	if (last && last->file_offset + last->len == end) {
		last->len += len;
		return 0;
	}
	if (sb->extent_count == LAYOUT_EXTENT_MAX)
		return -ENOSPC;
	sb->extents[sb->extent_count++] = (struct layout_extent){
		.file_offset = end,
		.len = len,
		.use = (uint32_t)use,
	};
	return 0;
}

enum layout_use region_sums_use(enum layout_use home)
{
	return home == LAYOUT_USE_HEAP ? LAYOUT_USE_HEAP_SUMS : LAYOUT_USE_REGION_SUMS;
}

uint64_t region_home_place(const struct region *region, const struct layout_superblock *sb,
			   uint64_t page)
{
	if (page >= region->page_count)
		return 0;
	return space_place(sb, region->home, region->home_offset + page * LAYOUT_BLOCK_BYTES);
}

uint64_t region_sum_place(const struct region *region, const struct layout_superblock *sb,
			  uint64_t page)
{
	uint64_t index = region->home_offset / LAYOUT_BLOCK_BYTES + page;

	if (page >= region->page_count)
		return 0;
	return space_place(sb, region_sums_use(region->home), index * sizeof(uint64_t));
}
