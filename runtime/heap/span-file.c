/*
 * Where free spans are kept: records, the tables they stand in, and bins by kind and size.
 *
 * Each kind has its bins, with a bitmap of those in use, so that the smallest bin that surely
 * serves a request is found in a few instructions. Neighbours of the same kind are joined when one
 * is filed, found through the pagemap, which knows the first and the last page of every span.
 * Dirty spans stand in a list by age as well.
 */
#include "span-file.h"

#include <time.h>

#include "memcheck.h"

unsigned span_bin_of(uint32_t pages)
{
	if (pages < 16)
		return pages;
	const unsigned msb = 31 - (unsigned)__builtin_clz(pages);
	return (msb - 2) * 8 + ((pages >> (msb - 3)) & 7);
}

static struct layout_span_bins *bins_of(enum span_kind kind)
{
	return kind == SPAN_FREE_DIRTY ? &state.header->dirty :
	       kind == SPAN_FREE_CLEAN ? &state.header->clean :
					 &state.header->purged;
}

uint32_t span_last_page(const struct layout_span *span)
{
	return heap_page_of(heap_start_of(span)) + span->page_count - 1;
}

void span_map_ends(const struct layout_span *span, uint32_t id)
{
	state.pagemap[heap_page_of(heap_start_of(span))] = id;
	state.pagemap[span_last_page(span)] = id;
}

bool span_table_open(uint64_t table, uint64_t *open, uint64_t needed)
{
	while (*open < needed) {
		if (state.memory.grow(state.memory.context, table + *open, SPAN_TABLE_STEP_BYTES) != 0)
			return false;
		memcheck_own(heap_pointer(table + *open), SPAN_TABLE_STEP_BYTES);
		*open += SPAN_TABLE_STEP_BYTES;
	}
	return true;
}

struct layout_span *span_record_new(void)
{
	struct layout_heap *header = state.header;
	uint32_t id = header->span_free;
	if (id != 0) {
		header->span_free = state.spans[id].next;
	} else {
		id = header->span_top;
		if (id == header->span_capacity ||
		    !span_table_open(header->spans, &header->spans_open,
				(uint64_t)(id + 1) * sizeof(struct layout_span)))
			return NULL;
		header->span_top++;
	}
	memset(&state.spans[id], 0, sizeof(struct layout_span));
	return &state.spans[id];
}

void span_record_free(struct layout_span *span)
{
	memset(span, 0, sizeof(*span));
	span->next = state.header->span_free;
	state.header->span_free = heap_span_id(span);
}

uint32_t span_clock_seconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (uint32_t)now.tv_sec;
}

uint32_t span_now_seconds(void)
{
	return span_clock_seconds() - state.clock_start_s;
}

static void age_link(struct layout_span *span, uint32_t id)
{
	struct layout_heap *header = state.header;
	span->older = header->dirty_newest;
	span->newer = 0;
	*(span->older ? &state.spans[span->older].newer : &header->dirty_oldest) = id;
	header->dirty_newest = id;
	header->dirty_pages += span->page_count;
}

static void age_unlink(const struct layout_span *span)
{
	struct layout_heap *header = state.header;
	*(span->older ? &state.spans[span->older].newer : &header->dirty_oldest) = span->newer;
	*(span->newer ? &state.spans[span->newer].older : &header->dirty_newest) = span->older;
	header->dirty_pages -= span->page_count;
}

void span_file(struct layout_span *span)
{
	const unsigned bin = span_bin_of(span->page_count);
	struct layout_span_bins *bins = bins_of(span->kind);
	const uint32_t id = heap_span_id(span);

	span->prev = 0;
	span->next = bins->head[bin];
	if (span->next)
		state.spans[span->next].prev = id;
	bins->head[bin] = id;
	bins->occupied[bin / 64] |= UINT64_C(1) << (bin % 64);
	span_map_ends(span, id);
	if (span->kind == SPAN_FREE_DIRTY)
		age_link(span, id);
}

void span_unfile(struct layout_span *span)
{
	const unsigned bin = span_bin_of(span->page_count);
	struct layout_span_bins *bins = bins_of(span->kind);

	*(span->prev ? &state.spans[span->prev].next : &bins->head[bin]) = span->next;
	if (span->next)
		state.spans[span->next].prev = span->prev;
	if (bins->head[bin] == 0)
		bins->occupied[bin / 64] &= ~(UINT64_C(1) << (bin % 64));
	if (span->kind == SPAN_FREE_DIRTY)
		age_unlink(span);
}

struct layout_span *span_free_neighbour(uint64_t offset, enum span_kind kind)
{
	if (offset < state.header->data_start || offset >= state.header->data_end)
		return NULL;
	struct layout_span *span = heap_span_at(offset);
	return span->kind == kind ? span : NULL;
}

/* The inner pages of a free span have no entries: wipe those that a join has made inner. */
static void join(struct layout_span *left, struct layout_span *right)
{
	state.pagemap[span_last_page(left)] = 0;
	state.pagemap[heap_page_of(heap_start_of(right))] = 0;
	left->page_count += right->page_count;
	span_record_free(right);
}

void span_file_joined(struct layout_span *span)
{
	struct layout_span *left = span_free_neighbour(heap_start_of(span) - 1, span->kind);
	struct layout_span *right =
		span_free_neighbour(heap_start_of(span) + span->page_count * HEAP_PAGE_BYTES,
			       span->kind);
	if (left) {
		span_unfile(left);
		join(left, span);
		span = left;
	}
	if (right) {
		span_unfile(right);
		join(span, right);
	}
	if (span->kind == SPAN_FREE_DIRTY)
		span->released_s = span_now_seconds();
	span_file(span);
}

struct layout_span *span_find(enum span_kind kind, uint32_t pages, uint32_t tries)
{
	const struct layout_span_bins *bins = bins_of(kind);
	const unsigned first = span_bin_of(pages);
	/* Spans of the request's own bin may be a little too short. */
	for (uint32_t id = bins->head[first]; id != 0 && tries-- != 0; id = state.spans[id].next)
		if (state.spans[id].page_count >= pages)
			return &state.spans[id];
	for (unsigned word = (first + 1) / 64; word < 4; word++) {
		uint64_t occupied = bins->occupied[word];
		if (word == (first + 1) / 64)
			occupied &= ~UINT64_C(0) << ((first + 1) % 64);
		if (occupied)
			return &state.spans[bins->head[word * 64 + (unsigned)__builtin_ctzll(occupied)]];
	}
	return NULL;
}

bool span_split(struct layout_span *span, uint32_t pages)
{
	if (span->page_count == pages)
		return true;
	struct layout_span *rest = span_record_new();
	if (!rest)
		return false;
	rest->kind = span->kind;
	rest->start = span->start + pages * HEAP_PAGE_BYTES;
	rest->page_count = span->page_count - pages;
	if (span->kind == SPAN_FREE_DIRTY)
		rest->released_s = span->released_s;
	span->page_count = pages;
	span_file(rest);
	return true;
}
