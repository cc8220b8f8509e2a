/*
 * Spans: who has which pages.
 *
 * Free spans are kept apart by what they cost: *dirty* ones hold memory and old bytes, *clean*
 * ones are holes. A request is served from the dirty ones first (no page fault, no zeroing),
 * then from the clean ones, then by growing the heap, and only then by giving all dirty pages
 * back, which lets both kinds join into larger spans. Both are filed by size in bins with a
 * bitmap of the bins in use; neighbours of the same kind are joined at once, found through the
 * pagemap, which knows the first and the last page of every span.
 *
 * Dirty pages are given back when there are too many, and when they have been unused for some
 * seconds, oldest first; the clock is read when something is released, no thread is needed.
 */
#include "span.h"

#include <time.h>

#include "check.h"
#include "memcheck.h"

#define DIRTY_BYTES_MIN (UINT64_C(64) << 20)
#define DIRTY_PART_MAX 2 /* one part in, of the pages in use */
#define DIRTY_SECONDS_MAX 10
#define GROW_BYTES_MIN (UINT64_C(1) << 20)
#define GROW_BYTES_MAX (UINT64_C(64) << 20)
#define GROW_PART 16 /* grow by one part in, of what is open */
#define TABLE_STEP_BYTES UINT64_C(65536)
#define BIN_TRIES 32

unsigned span_bin_of(uint32_t pages)
{
	if (pages < 16)
		return pages;
	const unsigned msb = 31 - (unsigned)__builtin_clz(pages);
	return (msb - 2) * 8 + ((pages >> (msb - 3)) & 7);
}

static struct layout_span_bins *bins_of(enum span_kind kind)
{
	return kind == SPAN_FREE_DIRTY ? &state.header->dirty : &state.header->clean;
}

static uint32_t last_page(const struct layout_span *span)
{
	return heap_page_of(heap_start_of(span)) + span->page_count - 1;
}

static void map_ends(const struct layout_span *span, uint32_t id)
{
	state.pagemap[heap_page_of(heap_start_of(span))] = id;
	state.pagemap[last_page(span)] = id;
}

void span_map_pages(const struct layout_span *span, uint32_t id)
{
	const uint32_t first = heap_page_of(heap_start_of(span));
	for (uint32_t i = 0; i < span->page_count; i++)
		state.pagemap[first + i] = id;
}

/* Open one of the tables far enough; the caller's entry is the next to be used. */
static bool table_open(uint64_t table, uint64_t *open, uint64_t needed)
{
	while (*open < needed) {
		if (state.memory.grow(state.memory.context, table + *open, TABLE_STEP_BYTES) != 0)
			return false;
		memcheck_own(heap_pointer(table + *open), TABLE_STEP_BYTES);
		*open += TABLE_STEP_BYTES;
	}
	return true;
}

static struct layout_span *record_new(void)
{
	struct layout_heap *header = state.header;
	uint32_t id = header->span_free;
	if (id != 0) {
		header->span_free = state.spans[id].next;
	} else {
		id = header->span_top;
		if (id == header->span_capacity ||
		    !table_open(header->spans, &header->spans_open,
				(uint64_t)(id + 1) * sizeof(struct layout_span)))
			return NULL;
		header->span_top++;
	}
	memset(&state.spans[id], 0, sizeof(struct layout_span));
	return &state.spans[id];
}

static void record_free(struct layout_span *span)
{
	memset(span, 0, sizeof(*span));
	span->next = state.header->span_free;
	state.header->span_free = heap_span_id(span);
}

static uint32_t now_seconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (uint32_t)now.tv_sec;
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

/* File a free span under its kind and size, without joining it to anything. */
static void file(struct layout_span *span)
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
	map_ends(span, id);
	if (span->kind == SPAN_FREE_DIRTY)
		age_link(span, id);
}

static void unfile(struct layout_span *span)
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

/* The span on the page before or after, if it is free of this kind. */
static struct layout_span *free_neighbour(uint64_t offset, enum span_kind kind)
{
	if (offset < state.header->data_start || offset >= state.header->data_end)
		return NULL;
	struct layout_span *span = heap_span_at(offset);
	return span->kind == kind ? span : NULL;
}

/* The inner pages of a free span have no entries: wipe those that a join has made inner. */
static void join(struct layout_span *left, struct layout_span *right)
{
	state.pagemap[last_page(left)] = 0;
	state.pagemap[heap_page_of(heap_start_of(right))] = 0;
	left->page_count += right->page_count;
	left->flags |= right->flags;
	record_free(right);
}

/* file_joined() - file a free span, joined with its neighbours of the same kind */
static void file_joined(struct layout_span *span)
{
	struct layout_span *left = free_neighbour(heap_start_of(span) - 1, span->kind);
	struct layout_span *right =
		free_neighbour(heap_start_of(span) + span->page_count * HEAP_PAGE_BYTES,
			       span->kind);
	if (left) {
		unfile(left);
		join(left, span);
		span = left;
	}
	if (right) {
		unfile(right);
		join(span, right);
	}
	if (span->kind == SPAN_FREE_DIRTY)
		span->released_s = now_seconds();
	file(span);
}

/* purge() - give a dirty span's memory back; if the system refuses, it stays dirty */
static bool purge(struct layout_span *span)
{
	if (state.memory.purge(state.memory.context, heap_start_of(span),
			       span->page_count * HEAP_PAGE_BYTES) != 0)
		return false;
	unfile(span);
	span->kind = SPAN_FREE_CLEAN;
	span->flags = SPAN_PURGED;
	file_joined(span);
	return true;
}

bool span_purge_all(void)
{
	bool any = false;
	while (state.header->dirty_oldest != 0) {
		if (!purge(&state.spans[state.header->dirty_oldest]))
			break;
		any = true;
	}
	return any;
}

static void purge_surplus(void)
{
	const struct layout_heap *header = state.header;
	uint64_t allowed = header->used_pages / DIRTY_PART_MAX;
	if (allowed < DIRTY_BYTES_MIN / HEAP_PAGE_BYTES)
		allowed = DIRTY_BYTES_MIN / HEAP_PAGE_BYTES;
	while (header->dirty_pages > allowed) {
		if (!purge(&state.spans[header->dirty_oldest]))
			return;
	}
	while (header->dirty_oldest != 0) {
		struct layout_span *oldest = &state.spans[header->dirty_oldest];
		if (now_seconds() - oldest->released_s < DIRTY_SECONDS_MAX || !purge(oldest))
			return;
	}
}

static struct layout_span *find(struct layout_span_bins *bins, uint32_t pages, uint32_t tries)
{
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

/* grow() - open more of the range: a clean span at its end, at least `pages` long */
static bool grow(uint32_t pages)
{
	struct layout_heap *header = state.header;
	const uint64_t room = state.limit - header->data_end;
	const uint64_t open = header->data_end - header->data_start;
	const uint64_t least = pages * HEAP_PAGE_BYTES;
	uint64_t step = open / GROW_PART & ~(HEAP_PAGE_BYTES - 1);

	step = step < GROW_BYTES_MIN ? GROW_BYTES_MIN : step > GROW_BYTES_MAX ? GROW_BYTES_MAX : step;
	if (step < least)
		step = least;
	if (step > room)
		step = room;
	if (step < least ||
	    !table_open(header->pagemap, &header->pagemap_open,
			(heap_page_of(header->data_end + step) + 1) * sizeof(uint32_t)))
		return false;
	struct layout_span *span = record_new();
	if (!span)
		return false;
	if (state.memory.grow(state.memory.context, header->data_end, step) != 0) {
		step = least;
		if (state.memory.grow(state.memory.context, header->data_end, step) != 0) {
			record_free(span);
			return false;
		}
	}
	span->kind = SPAN_FREE_CLEAN;
	span->start = heap_pointer(header->data_end);
	span->page_count = heap_page_of(step);
	header->data_end += step;
	if (heap_range.size != 0) /* an abandoned heap stays abandoned */
		__atomic_store_n(&heap_range.size, header->data_end, __ATOMIC_RELAXED);
	file_joined(span);
	return true;
}

/* split() - cut a free, unfiled span after `pages`; the rest is filed; false: no record */
static bool split(struct layout_span *span, uint32_t pages)
{
	if (span->page_count == pages)
		return true;
	struct layout_span *rest = record_new();
	if (!rest)
		return false;
	rest->kind = span->kind;
	rest->flags = span->flags;
	rest->start = span->start + pages * HEAP_PAGE_BYTES;
	rest->page_count = span->page_count - pages;
	if (span->kind == SPAN_FREE_DIRTY)
		rest->released_s = span->released_s;
	span->page_count = pages;
	file(rest);
	return true;
}

/* Cut [aligned start, +pages) out of an unfiled free span; NULL: no record for the pieces. */
static struct layout_span *carve(struct layout_span *span, uint32_t pages, uint32_t align_pages)
{
	const uint64_t align = align_pages * HEAP_PAGE_BYTES;
	const uint64_t address = (uint64_t)(uintptr_t)span->start;
	const uint32_t lead = heap_page_of((align - address % align) % align);

	if (lead != 0) {
		if (!split(span, lead)) {
			file(span);
			return NULL;
		}
		struct layout_span *aligned = heap_span_of(span->start + lead * HEAP_PAGE_BYTES);
		file(span);
		unfile(aligned);
		span = aligned;
	}
	if (!split(span, pages)) {
		file_joined(span);
		return NULL;
	}
	return span;
}

static struct layout_span *take(enum span_kind kind, uint32_t pages, uint32_t align_pages,
				uint32_t tries)
{
	struct layout_span *span = find(bins_of(kind), pages + align_pages - 1, tries);
	if (!span)
		return NULL;
	unfile(span);
	span = carve(span, pages, align_pages);
	if (!span)
		return NULL;
	if (span->flags & SPAN_PURGED &&
	    state.memory.grow(state.memory.context, heap_start_of(span),
			      span->page_count * HEAP_PAGE_BYTES) != 0) {
		file_joined(span);
		return NULL;
	}
	return span;
}

static void account_used(int64_t pages)
{
	struct layout_heap *header = state.header;
	header->used_pages += (uint64_t)pages;
	if (header->used_pages > header->used_pages_peak)
		header->used_pages_peak = header->used_pages;
}

struct layout_span *span_new(uint32_t pages, uint32_t align_pages, enum span_kind kind)
{
	struct layout_span *span = take(SPAN_FREE_DIRTY, pages, align_pages, BIN_TRIES);
	if (!span)
		span = take(SPAN_FREE_CLEAN, pages, align_pages, BIN_TRIES);
	if (!span && grow(pages + align_pages - 1))
		span = take(SPAN_FREE_CLEAN, pages, align_pages, BIN_TRIES);
	if (!span) {
		(void)span_purge_all();
		span = take(SPAN_FREE_CLEAN, pages, align_pages, UINT32_MAX);
	}
	if (!span) /* the system may have refused to take some back */
		span = take(SPAN_FREE_DIRTY, pages, align_pages, UINT32_MAX);
	if (!span)
		return NULL;

	const uint8_t zero = span->kind == SPAN_FREE_CLEAN ? SPAN_ZERO : 0;
	char *start = span->start;
	const uint32_t page_count = span->page_count;
	memset(span, 0, sizeof(*span));
	span->kind = (uint8_t)kind;
	span->start = start;
	span->page_count = page_count;
	span->flags = zero;
	map_ends(span, heap_span_id(span));
	account_used(page_count);
	memcheck_span(start, page_count * HEAP_PAGE_BYTES, kind == SPAN_META);
	return span;
}

static void become_dirty(struct layout_span *span)
{
	char *start = span->start;
	const uint32_t page_count = span->page_count;
	memset(span, 0, sizeof(*span));
	span->kind = SPAN_FREE_DIRTY;
	span->start = start;
	span->page_count = page_count;
	file_joined(span);
}

void span_release(struct layout_span *span)
{
	CHECK(span->kind == SPAN_SLAB || span->kind == SPAN_LARGE || span->kind == SPAN_META);
	if (span->kind == SPAN_SLAB)
		span_map_pages(span, 0);
	if (span->kind == SPAN_META)
		memcheck_disown(span->start, span->page_count * HEAP_PAGE_BYTES);
	account_used(-(int64_t)span->page_count);
	become_dirty(span);
	purge_surplus();
}

bool span_extend(struct layout_span *span, uint32_t page_count)
{
	const uint32_t more = page_count - span->page_count;
	const uint64_t end = heap_start_of(span) + span->page_count * HEAP_PAGE_BYTES;

	struct layout_span *right = free_neighbour(end, SPAN_FREE_DIRTY);
	if (!right)
		right = free_neighbour(end, SPAN_FREE_CLEAN);
	const uint32_t there = right ? right->page_count : 0;
	if (there < more) {
		if (end + there * HEAP_PAGE_BYTES != state.header->data_end || !grow(more - there))
			return false;
		right = free_neighbour(end, SPAN_FREE_CLEAN);
		if (!right || right->page_count < more)
			return false;
	}
	unfile(right);
	if (!split(right, more) || (right->flags & SPAN_PURGED &&
				    state.memory.grow(state.memory.context, heap_start_of(right),
						      more * HEAP_PAGE_BYTES) != 0)) {
		file_joined(right);
		return false;
	}
	if (right->kind == SPAN_FREE_DIRTY)
		span->flags &= (uint8_t)~SPAN_ZERO;
	if (span->page_count > 1)
		state.pagemap[last_page(span)] = 0;
	state.pagemap[heap_page_of(heap_start_of(right))] = 0;
	record_free(right);
	span->page_count = page_count;
	map_ends(span, heap_span_id(span));
	account_used(more);
	return true;
}

void span_shrink(struct layout_span *span, uint32_t page_count)
{
	struct layout_span *tail = record_new();
	if (!tail)
		return;
	tail->start = span->start + page_count * HEAP_PAGE_BYTES;
	tail->page_count = span->page_count - page_count;
	state.pagemap[last_page(span)] = 0;
	span->page_count = page_count;
	map_ends(span, heap_span_id(span));
	account_used(-(int64_t)tail->page_count);
	become_dirty(tail);
	purge_surplus();
}
