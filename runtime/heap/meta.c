/*
 * Metadata lies close together in spans of its own, so that what malloc and free write is a few
 * hot pages and not a page here and there: cheap for the caches, and for an epoch's delta.
 * Blocks up to 4 KiB are cut from a META span and recycled by exact size in 64-byte units; longer
 * ones (thread caches) are a span each.
 */
#include "meta.h"

#include "span.h"

#define META_SPAN_PAGES 64

static size_t units_of(size_t bytes)
{
	return (bytes + HEAP_META_UNIT - 1) / HEAP_META_UNIT;
}

static void recycle(uint64_t offset, size_t units)
{
	*(uint64_t *)heap_pointer(offset) = state.header->meta_free[units];
	state.header->meta_free[units] = offset;
}

static bool bump_refill(void)
{
	struct layout_heap *header = state.header;
	struct layout_span *span = span_new(META_SPAN_PAGES, 1, SPAN_META);
	if (!span)
		return false;
	/* The old rest is shorter than a block somebody wanted: keep it for smaller ones. */
	const size_t rest = (header->meta_bump_end - header->meta_bump) / HEAP_META_UNIT;
	if (rest != 0)
		recycle(header->meta_bump, rest);
	header->meta_bump = heap_start_of(span);
	header->meta_bump_end = header->meta_bump + span->page_count * HEAP_PAGE_BYTES;
	return true;
}

static uint64_t span_block_new(size_t bytes)
{
	const uint32_t pages = heap_page_of(bytes + HEAP_PAGE_BYTES - 1);
	struct layout_span *span = span_new(pages, 1, SPAN_META);
	if (!span)
		return 0;
	if (!(span->flags & SPAN_ZERO))
		memset(span->start, 0, bytes);
	return heap_start_of(span);
}

uint64_t meta_new(size_t bytes)
{
	struct layout_heap *header = state.header;
	if (bytes > META_BLOCK_MAX)
		return span_block_new(bytes);

	const size_t units = units_of(bytes);
	uint64_t offset = header->meta_free[units];
	if (offset != 0) {
		header->meta_free[units] = *(uint64_t *)heap_pointer(offset);
	} else {
		if (header->meta_bump_end - header->meta_bump < units * HEAP_META_UNIT &&
		    !bump_refill())
			return 0;
		offset = header->meta_bump;
		header->meta_bump += units * HEAP_META_UNIT;
	}
	memset(heap_pointer(offset), 0, units * HEAP_META_UNIT);
	return offset;
}

void meta_free(uint64_t offset, size_t bytes)
{
	if (bytes > META_BLOCK_MAX)
		span_release(heap_span_at(offset));
	else
		recycle(offset, units_of(bytes));
}
