/*
 * Regions: what is kept, as the engine sees it. A number, an address, a length, and a place in one
 * of the pool's spaces; whether it is a heap, globals or a stack is nobody's business here.
 *
 * A *space* is the concatenation of all extents of one use, in the order of the superblock's table.
 * Home of a region is linear in its space. Beside each space of homes stands one of checksums,
 * 8 bytes a page, at the same page numbers.
 *
 * Pages are cut from the region's first byte, which need not be the first of a page of memory (the
 * kept globals of a module begin at any multiple of 64): page i is the 4096 bytes at address +
 * 4096 i. What is left of its last page belongs to somebody else. So a tracker follows the pages
 * of memory that hold the region, one of them written means up to two of the region's, and a copy
 * is clipped.
 */
#pragma once

#include <stdint.h>

#include "layout.h"
#include "log-layout.h"

struct region {
	uint32_t id;          /* 1..LAYOUT_REGION_MAX, the same for the pool's whole life */
	uint32_t kind;        /* its owner's business */
	char *address;        /* where its memory is now; NULL: nowhere */
	uint64_t page_count;
	uint64_t bytes;       /* of its memory; the rest of its last page is kept as zeros. 0: all */
	enum layout_use home; /* LAYOUT_USE_HEAP or LAYOUT_USE_REGIONS */
	uint64_t home_offset; /* of its page 0 in that space; page-aligned */
};

static inline uint64_t region_bytes(const struct region *region)
{
	return region->bytes ? region->bytes : region->page_count * LAYOUT_BLOCK_BYTES;
}
/* How much of a page is the region's: to be copied, with zeros behind it. */
static inline uint64_t region_page_bytes(const struct region *region, uint64_t page)
{
	const uint64_t left = region_bytes(region) - page * LAYOUT_BLOCK_BYTES;

	return left < LAYOUT_BLOCK_BYTES ? left : LAYOUT_BLOCK_BYTES;
}

/* The whole pages of memory that hold a region with an address: what a tracker follows. */
static inline char *region_memory_start(const struct region *region)
{
	return region->address - ((uintptr_t)region->address & (LAYOUT_BLOCK_BYTES - 1));
}
static inline uint64_t region_memory_bytes(const struct region *region)
{
	const uint64_t lead = (uint64_t)(region->address - region_memory_start(region));

	return (lead + region_bytes(region) + LAYOUT_BLOCK_BYTES - 1) & ~(LAYOUT_BLOCK_BYTES - 1);
}

/* region_pages_at() - the region's pages that have bytes in [start, start + len) of memory, which
 * touches the region; returns how many */
static inline uint64_t region_pages_at(const struct region *region, const char *start, uint64_t len,
				       uint64_t *ret_first)
{
	const uint64_t from = start > region->address ? (uint64_t)(start - region->address) : 0;
	const uint64_t end = (uint64_t)(start + len - region->address);
	const uint64_t last = (end < region_bytes(region) ? end : region_bytes(region)) - 1;

	*ret_first = from / LAYOUT_BLOCK_BYTES;
	return last / LAYOUT_BLOCK_BYTES - *ret_first + 1;
}

/* Pages have one number over all regions: the key of an entry without its kind. */
static inline uint64_t region_key(uint32_t region_id, uint64_t page)
{
	return (uint64_t)region_id << LAYOUT_ENTRY_PAGE_BITS | page;
}
static inline uint32_t region_id_of_key(uint64_t key)
{
	return (uint32_t)(key >> LAYOUT_ENTRY_PAGE_BITS) & LAYOUT_REGION_MAX;
}
static inline uint64_t region_page_of_key(uint64_t key)
{
	return key & LAYOUT_PAGE_MAX;
}

/* space_bytes() - the sum of its extents */
uint64_t space_bytes(const struct layout_superblock *sb, enum layout_use use);

/* space_place() - the file offset of an offset in the space; 0: there is no such */
uint64_t space_place(const struct layout_superblock *sb, enum layout_use use, uint64_t offset);

/* space_run() - the same, and how many bytes follow it in one piece */
uint64_t space_run(const struct layout_superblock *sb, enum layout_use use, uint64_t offset,
		   uint64_t *ret_bytes);

/* space_extend() - add len bytes (whole chunks) at the file's end to the table alone; -ENOSPC:
 * the table is full */
int space_extend(struct layout_superblock *sb, enum layout_use use, uint64_t len);

/* space_file_bytes() - the length a file needs for this table */
uint64_t space_file_bytes(const struct layout_superblock *sb);

/* Where page `page` of the region has its home and its checksum; 0: nowhere. */
uint64_t region_home_place(const struct region *region, const struct layout_superblock *sb,
			   uint64_t page);
uint64_t region_sum_place(const struct region *region, const struct layout_superblock *sb,
			  uint64_t page);
enum layout_use region_sums_use(enum layout_use home);
