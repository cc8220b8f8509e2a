/*
 * Spans: who has which pages.
 *
 * Free spans are kept apart by what they cost. *Dirty* ones hold memory and old bytes, *clean* ones
 * are open and read as zeros, *purged* ones were given back and must be opened again. A request is
 * served from the dirty ones first (no page fault, no zeroing), then from the clean ones; then a
 * purged one is opened or the heap grows, a megabyte at least, as both are system calls; and only
 * then everything free is given back, which lets all kinds join into larger spans.
 *
 * Dirty pages of an image are not what they were: they hold nothing yet, and to write one means to
 * read it from the pool first, for nothing. Before such a span of some length is used, it is given
 * back.
 *
 * Dirty pages are given back, oldest first, when they are more than half of what was in use of
 * late, and when they have been unused for some seconds. The clock is read when something is
 * released; no thread is needed.
 */
#include "span.h"

#include "check.h"
#include "memcheck.h"
#include "span-file.h"

#define DIRTY_BYTES_MIN (UINT64_C(64) << 20)
#define DIRTY_PART_MAX 2 /* one part in */
#define DIRTY_SECONDS_MAX 10
#define GROW_BYTES_MIN (UINT64_C(1) << 20)
#define GROW_BYTES_MAX (UINT64_C(64) << 20)
#define GROW_PART 16 /* grow by one part in, of what is open */
#define STALE_PAGES_MIN 64

void span_map_pages(const struct layout_span *span, uint32_t id)
{
	const uint32_t first = heap_page_of(heap_start_of(span));
	for (uint32_t i = 0; i < span->page_count; i++)
		state.pagemap[first + i] = id;
}

/* purge() - give a free span's memory back; if the system refuses, it stays what it is */
static bool purge(struct layout_span *span)
{
	if (state.memory.purge(state.memory.context, heap_start_of(span),
			       span->page_count * HEAP_PAGE_BYTES) != 0)
		return false;
	span_unfile(span);
	span->kind = SPAN_FREE_PURGED;
	span_file_joined(span);
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

/* The clean ones too: what is left joins into the largest spans there can be. */
static void purge_everything(void)
{
	struct layout_span *clean;
	(void)span_purge_all();
	do
		clean = span_find(SPAN_FREE_CLEAN, 1, SPAN_TRIES);
	while (clean && purge(clean));
}

/* recent_pages() - the most that was in use of late: forgotten by an eighth each second */
static uint64_t recent_pages(uint32_t now_s)
{
	struct layout_heap *header = state.header;
	for (; header->recent_s != now_s && header->recent_pages > header->used_pages;
	     header->recent_s++)
		header->recent_pages -= header->recent_pages / 8 + 1;
	header->recent_s = now_s;
	if (header->recent_pages < header->used_pages)
		header->recent_pages = header->used_pages;
	return header->recent_pages;
}

static void purge_surplus(void)
{
	const struct layout_heap *header = state.header;
	const uint32_t now_s = span_now_seconds();
	uint64_t allowed = recent_pages(now_s) / DIRTY_PART_MAX;
	if (allowed < DIRTY_BYTES_MIN / HEAP_PAGE_BYTES)
		allowed = DIRTY_BYTES_MIN / HEAP_PAGE_BYTES;
	while (header->dirty_pages > allowed) {
		if (!purge(&state.spans[header->dirty_oldest]))
			return;
	}
	while (header->dirty_oldest != 0) {
		struct layout_span *oldest = &state.spans[header->dirty_oldest];
		if (now_s - oldest->released_s < DIRTY_SECONDS_MAX || !purge(oldest))
			return;
	}
}

/* reopen() - the first `pages` of a purged span, and some more, are clean */
static bool reopen(struct layout_span *span, uint32_t pages)
{
	const uint32_t least = GROW_BYTES_MIN / HEAP_PAGE_BYTES;
	uint32_t wanted = pages < least ? least : pages;
	if (wanted > span->page_count)
		wanted = span->page_count;
	span_unfile(span);
	(void)span_split(span, wanted); /* no record: more is opened than was wanted */
	if (state.memory.grow(state.memory.context, heap_start_of(span),
			      span->page_count * HEAP_PAGE_BYTES) != 0) {
		span_file_joined(span);
		return false;
	}
	span->kind = SPAN_FREE_CLEAN;
	span_file_joined(span);
	return true;
}

/* grow() - the range is open further: a clean span at its end, at least `pages` long */
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
	    !span_table_open(header->pagemap, &header->pagemap_open,
			(heap_page_of(header->data_end + step) + 1) * sizeof(uint32_t)))
		return false;
	struct layout_span *span = span_record_new();
	if (!span)
		return false;
	if (state.memory.grow(state.memory.context, header->data_end, step) != 0) {
		step = least;
		if (state.memory.grow(state.memory.context, header->data_end, step) != 0) {
			span_record_free(span);
			return false;
		}
	}
	span->kind = SPAN_FREE_CLEAN;
	span->start = heap_pointer(header->data_end);
	span->page_count = heap_page_of(step);
	header->data_end += step;
	if (heap_is_there()) /* an abandoned heap stays abandoned */
		__atomic_store_n(&heap_range.size, header->data_end, __ATOMIC_RELAXED);
	span_file_joined(span);
	return true;
}

/* Cut [aligned start, +pages) out of an unfiled free span; NULL: no record for the pieces. */
static struct layout_span *carve(struct layout_span *span, uint32_t pages, uint32_t align_pages)
{
	const uint64_t align = align_pages * HEAP_PAGE_BYTES;
	const uint64_t address = (uint64_t)(uintptr_t)span->start;
	const uint32_t lead = heap_page_of((align - address % align) % align);

	if (lead != 0) {
		if (!span_split(span, lead)) {
			span_file(span);
			return NULL;
		}
		struct layout_span *aligned = heap_span_of(span->start + lead * HEAP_PAGE_BYTES);
		span_file(span);
		span_unfile(aligned);
		span = aligned;
	}
	if (!span_split(span, pages)) {
		span_file_joined(span);
		return NULL;
	}
	return span;
}

/* Free since before this run. */
static bool is_stale(const struct layout_span *span)
{
	return span->kind == SPAN_FREE_DIRTY && span->page_count >= STALE_PAGES_MIN &&
	       (int32_t)(span->released_s - state.run_start_s) < 0;
}

/* At most one stale span is given back, as there may be thousands. */
static struct layout_span *take(enum span_kind kind, uint32_t pages, uint32_t align_pages,
				uint32_t tries)
{
	struct layout_span *span = span_find(kind, pages + align_pages - 1, tries);
	if (!span || (is_stale(span) && purge(span)))
		return NULL;
	span_unfile(span);
	return carve(span, pages, align_pages);
}

/* open_more() - there is a clean span of `pages` */
static bool open_more(uint32_t pages, uint32_t tries)
{
	struct layout_span *purged = span_find(SPAN_FREE_PURGED, pages, tries);
	return (purged && reopen(purged, pages)) || grow(pages);
}

static void account_used(int64_t pages)
{
	struct layout_heap *header = state.header;
	header->used_pages += (uint64_t)pages;
	if (header->used_pages > header->used_pages_peak)
		header->used_pages_peak = header->used_pages;
	if (header->used_pages > header->recent_pages)
		header->recent_pages = header->used_pages;
}

static struct layout_span *take_or_open(uint32_t pages, uint32_t align_pages, uint32_t tries)
{
	struct layout_span *span = take(SPAN_FREE_DIRTY, pages, align_pages, tries);
	if (!span)
		span = take(SPAN_FREE_CLEAN, pages, align_pages, tries);
	if (!span && open_more(pages + align_pages - 1, tries))
		span = take(SPAN_FREE_CLEAN, pages, align_pages, tries);
	return span;
}

/* Giving everything back is dear: not for a request that all free pages together do not hold. */
static bool could_fit(uint32_t pages)
{
	const struct layout_heap *header = state.header;
	return pages <= heap_page_of(state.limit - header->data_start) - header->used_pages;
}

struct layout_span *span_new(uint32_t pages, uint32_t align_pages, enum span_kind kind)
{
	struct layout_span *span = take_or_open(pages, align_pages, SPAN_TRIES);
	if (!span && could_fit(pages)) {
		purge_everything();
		span = take_or_open(pages, align_pages, UINT32_MAX);
	}
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
	span_map_ends(span, heap_span_id(span));
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
	span_file_joined(span);
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

/* free_behind() - what is free at offset, opened if it was purged, or grown to at least `pages` if
 * it is the end of the data; NULL: nothing that long */
static struct layout_span *free_behind(uint64_t offset, uint32_t pages)
{
	struct layout_span *span = span_free_neighbour(offset, SPAN_FREE_DIRTY);
	if (!span) {
		struct layout_span *purged = span_free_neighbour(offset, SPAN_FREE_PURGED);
		if (purged && (purged->page_count < pages || !reopen(purged, pages)))
			return NULL;
		span = span_free_neighbour(offset, SPAN_FREE_CLEAN);
		const uint32_t there = span ? span->page_count : 0;
		if (there < pages && offset + there * HEAP_PAGE_BYTES == state.header->data_end &&
		    grow(pages - there))
			span = span_free_neighbour(offset, SPAN_FREE_CLEAN);
	}
	return span && span->page_count >= pages ? span : NULL;
}

bool span_extend(struct layout_span *span, uint32_t page_count)
{
	const uint32_t more = page_count - span->page_count;
	struct layout_span *right =
		free_behind(heap_start_of(span) + span->page_count * HEAP_PAGE_BYTES, more);
	if (!right)
		return false;
	span_unfile(right);
	if (!span_split(right, more)) {
		span_file_joined(right);
		return false;
	}
	if (right->kind == SPAN_FREE_DIRTY)
		span->flags &= (uint8_t)~SPAN_ZERO;
	if (span->page_count > 1)
		state.pagemap[span_last_page(span)] = 0;
	state.pagemap[heap_page_of(heap_start_of(right))] = 0;
	span_record_free(right);
	span->page_count = page_count;
	span_map_ends(span, heap_span_id(span));
	account_used(more);
	return true;
}

void span_shrink(struct layout_span *span, uint32_t page_count)
{
	struct layout_span *tail = span_record_new();
	if (!tail)
		return;
	tail->start = span->start + page_count * HEAP_PAGE_BYTES;
	tail->page_count = span->page_count - page_count;
	state.pagemap[span_last_page(span)] = 0;
	span->page_count = page_count;
	span_map_ends(span, heap_span_id(span));
	account_used(-(int64_t)tail->page_count);
	become_dirty(tail);
	purge_surplus();
}
