/*
 * The validator: walks the whole heap and verifies every invariant heap-layout.h states.
 *
 * It goes from the outside in: header, tiling of the data by spans, each span by its kind, then
 * what is redundant with that (free bins, age order, slabs with free slots, free records, free
 * metadata), roots, and last the thread caches (heap-check-cache.c).
 *
 * It never follows a number it has not checked against the tables' bounds, so it survives any
 * bytes; every loop is bounded by the number of records or pages. What depends on a part found
 * broken is not looked at: one damage gives few findings, the first of them nearest to it.
 */
#include "heap-walk.h"
#include "meta.h"
#include "span-file.h"
#include "span.h"

void walk_expect(struct walk *walk, uint64_t offset, const char *what, uint64_t expected,
		 uint64_t found)
{
	if (expected == found)
		return;
	walk->findings++;
	if (walk->report)
		walk->report(walk->context,
			     &(struct heap_finding){offset, what, expected, found});
}

static uint64_t offset_of_record(uint32_t id)
{
	return state.header->spans + id * sizeof(struct layout_span);
}

bool walk_is_record(uint32_t id)
{
	return id != 0 && id < state.header->span_top;
}

static bool offset_is_in_data(uint64_t offset, uint64_t bytes)
{
	return offset >= state.header->data_start && offset < state.header->data_end &&
	       bytes <= state.header->data_end - offset;
}

bool walk_lies_in_data(const void *p, uint64_t bytes)
{
	return offset_is_in_data((uintptr_t)p - (uintptr_t)heap_range.base, bytes);
}

bool walk_lies_in_meta(uint64_t offset, uint64_t bytes)
{
	if (!offset_is_in_data(offset, bytes))
		return false;
	/* Inner pages have no entry in the pagemap. */
	const uint32_t first_page = heap_page_of(state.header->data_start);
	uint32_t page = heap_page_of(offset);
	while (page > first_page && state.pagemap[page] == 0)
		page--;
	const struct layout_span *span = heap_span_at(page * HEAP_PAGE_BYTES);
	const uint64_t end = heap_start_of(span) + span->page_count * HEAP_PAGE_BYTES;
	return span->kind == SPAN_META && offset + bytes <= end;
}

bool walk_slab_is_sound(const struct layout_span *span)
{
	if (span->class == 0 || span->class >= HEAP_CLASSES)
		return false;
	const struct layout_class *geometry = &state.header->classes[span->class];
	return span->slot_count == geometry->slot_count && span->slot_bytes == geometry->slot_bytes &&
	       heap_offset(span->states) % HEAP_META_UNIT == 0 &&
	       walk_lies_in_meta(heap_offset(span->states), span->slot_count);
}

static void check_pagemap(struct walk *walk, const struct layout_span *span, uint32_t id)
{
	const uint32_t first = heap_page_of(heap_start_of(span));
	for (uint32_t i = 0; i < span->page_count; i++) {
		const bool is_end = i == 0 || i == span->page_count - 1;
		walk_expect(walk, state.header->pagemap + (first + i) * sizeof(uint32_t),
			    "pagemap entry", is_end || span->kind == SPAN_SLAB ? id : 0,
			    state.pagemap[first + i]);
	}
}

static void check_slab(struct walk *walk, const struct layout_span *span, uint64_t at)
{
	const struct layout_class *geometry = &state.header->classes[span->class % HEAP_CLASSES];
	uint32_t free_count = 0;

	walk_expect(walk, at, "slab's class is one", 1, span->class >= 1 && span->class < HEAP_CLASSES);
	walk_expect(walk, at, "slab's shard is one", 1, span->shard < state.header->shard_count);
	walk_expect(walk, at, "slot bytes", geometry->slot_bytes, span->slot_bytes);
	walk_expect(walk, at, "slot count", geometry->slot_count, span->slot_count);
	walk_expect(walk, at, "inverse", geometry->inverse, span->inverse);
	walk_expect(walk, at, "slab pages", geometry->page_count, span->page_count);
	walk->slabs++;
	walk->slabs_open += span->free_count != 0;
	const bool is_sound = walk_slab_is_sound(span);
	if (span->slot_count == geometry->slot_count && span->slot_bytes == geometry->slot_bytes)
		walk_expect(walk, at, "slot states are metadata", 1, is_sound);
	if (!is_sound)
		return;
	const uint8_t *states = span->states;
	for (uint32_t i = 0; i < span->slot_count; i++) {
		walk_expect(walk, heap_offset(states + i), "slot state is one", 1,
			    states[i] <= SLOT_CACHED || slot_state_is_live(states[i]));
		if (states[i] == SLOT_FREE) {
			free_count++;
			walk_expect(walk, at, "no free slot below the cursor", 1, i >= span->cursor);
		}
	}
	walk_expect(walk, at, "free slots", free_count, span->free_count);
}

static void check_large(struct walk *walk, const struct layout_span *span, uint64_t at)
{
	walk_expect(walk, at, "large block's slot bytes", 0, span->slot_bytes);
	walk_expect(walk, at, "large block's class", 0, span->class);
	walk_expect(walk, at, "large block's inverse", 1, span->inverse);
	walk_expect(walk, at, "large block's state", at + offsetof(struct layout_span, large_state),
		    heap_offset(span->states));
	/* As with slots, a fork may fall between free()'s mark and its lock. */
	if (span->large_state != SLOT_CACHED || !state.is_forked)
		walk_expect(walk, at, "large block is live", SLOT_LIVE, span->large_state);
}

static bool is_free_kind(uint8_t kind)
{
	return kind == SPAN_FREE_CLEAN || kind == SPAN_FREE_DIRTY || kind == SPAN_FREE_PURGED;
}

static void check_span(struct walk *walk, const struct layout_span *span, uint32_t id,
		       uint8_t kind_before)
{
	const uint64_t at = offset_of_record(id);
	const unsigned flags = is_free_kind(span->kind) ? 0 :
			       span->kind == SPAN_SLAB	 ? SPAN_ZERO | SPAN_IN_USE :
							   SPAN_ZERO;

	walk->spans++;
	walk_expect(walk, at, "span flags", span->flags & flags, span->flags);
	walk_expect(walk, at, "span's reserved bytes", 0,
		    span->reserved[0] | span->reserved[1] | span->reserved[2]);
	if (span->kind != SPAN_SLAB && span->kind != SPAN_LARGE)
		walk_expect(walk, at, "inverse where no block begins", 0, span->inverse);
	if (is_free_kind(span->kind)) {
		walk_expect(walk, at, "free neighbours of one kind are joined", 0,
			    span->kind == kind_before);
		walk->free[span->kind]++;
		walk->dirty_pages += span->kind == SPAN_FREE_DIRTY ? span->page_count : 0;
		return;
	}
	walk->used_pages += span->page_count;
	if (span->kind == SPAN_SLAB)
		check_slab(walk, span, at);
	else if (span->kind == SPAN_LARGE)
		check_large(walk, span, at);
}

/* The spans tile the data without gaps, and the pagemap knows it; false: not, and nothing else
 * can be trusted. */
static bool check_tiling(struct walk *walk)
{
	const struct layout_heap *header = state.header;
	const size_t before = walk->findings;

	for (uint64_t at = header->data_start; at < header->data_end;) {
		const uint32_t id = state.pagemap[heap_page_of(at)];
		const struct layout_span *span = &state.spans[walk_is_record(id) ? id : 0];
		const uint64_t left = (header->data_end - at) / HEAP_PAGE_BYTES;
		if (!walk_is_record(id) || heap_start_of(span) != at || span->page_count == 0 ||
		    span->page_count > left) {
			walk_expect(walk, at, "a span begins here, and fits", 1, 0);
			return false;
		}
		if (span->kind == SPAN_UNUSED || span->kind >= SPAN_KINDS) {
			walk_expect(walk, offset_of_record(id), "span kind is one", 1, 0);
			return false;
		}
		check_pagemap(walk, span, id);
		at += span->page_count * HEAP_PAGE_BYTES;
	}
	return walk->findings == before;
}

static void check_spans(struct walk *walk)
{
	const struct layout_heap *header = state.header;
	uint8_t kind_before = SPAN_UNUSED;
	for (uint64_t at = header->data_start; at < header->data_end;) {
		const uint32_t id = state.pagemap[heap_page_of(at)];
		const struct layout_span *span = &state.spans[id];
		check_span(walk, span, id, kind_before);
		kind_before = span->kind;
		at += span->page_count * HEAP_PAGE_BYTES;
	}
}

static bool check_header(struct walk *walk)
{
	const struct layout_heap *header = state.header;
	const size_t before = walk->findings;
	if (!image_check_header(walk, header, state.size))
		return false;
	walk_expect_field(walk, data_end, heap_range.size);
	walk_expect_field(walk, shard_count, state.shard_count);
	walk_expect(walk, header->spans, "record 0 is empty", 0,
		    state.spans[0].inverse | (uintptr_t)state.spans[0].start | state.spans[0].kind);
	return walk->findings == before;
}

/* What the members of a list share: a free bin's size, or a slab list's class and shard. */
struct membership {
	enum span_kind kind;
	unsigned bin;
	unsigned class, shard;
};

static bool is_member(const struct layout_span *span, const struct membership *list)
{
	if (span->kind != list->kind)
		return false;
	if (is_free_kind(span->kind))
		return span_bin_of(span->page_count) == list->bin;
	return span->kind != SPAN_SLAB || (span->class == list->class && span->shard == list->shard &&
					   span->free_count != 0);
}

/* Length of a list of spans through next; *ret_last is its last. */
static uint32_t check_list(struct walk *walk, uint32_t head, const struct membership *list,
			   uint32_t *ret_last)
{
	uint32_t length = 0;
	*ret_last = 0;
	for (uint32_t id = head; id != 0; id = state.spans[id].next) {
		if (!walk_is_record(id) || length++ == state.header->span_top) {
			walk_expect(walk, offset_of_record(*ret_last), "list link", 0, id);
			break;
		}
		walk_expect(walk, offset_of_record(id), "span is in the list of its like", 1,
			    is_member(&state.spans[id], list));
		if (list->kind != SPAN_UNUSED)
			walk_expect(walk, offset_of_record(id), "list link back", *ret_last,
				    state.spans[id].prev);
		if (list->kind == SPAN_SLAB)
			walk->free_slots += state.spans[id].free_count;
		*ret_last = id;
	}
	return length;
}

static uint32_t check_bins(struct walk *walk, const struct layout_span_bins *bins,
			   enum span_kind kind)
{
	uint32_t spans = 0, last;
	for (unsigned bin = 0; bin < HEAP_SPAN_BINS; bin++) {
		walk_expect(walk, heap_offset(&bins->occupied[bin / 64]), "bin's bit",
			    bins->head[bin] != 0, bins->occupied[bin / 64] >> (bin % 64) & 1);
		spans += check_list(walk, bins->head[bin],
				    &(struct membership){.kind = kind, .bin = bin}, &last);
	}
	return spans;
}

static void check_ages(struct walk *walk)
{
	const struct layout_heap *header = state.header;
	uint32_t aged = 0, before = 0;
	for (uint32_t id = header->dirty_oldest; id != 0; id = state.spans[id].newer) {
		if (!walk_is_record(id) || state.spans[id].kind != SPAN_FREE_DIRTY ||
		    aged++ == walk->free[SPAN_FREE_DIRTY]) {
			walk_expect(walk, offset_of_record(before), "age link", 0, id);
			break;
		}
		walk_expect(walk, offset_of_record(id), "age link back", before, state.spans[id].older);
		before = id;
	}
	walk_expect(walk, 0, "dirty spans by age", walk->free[SPAN_FREE_DIRTY], aged);
	walk_expect_field(walk, dirty_newest, before);
}

static void check_lists(struct walk *walk)
{
	const struct layout_heap *header = state.header;
	uint32_t slabs = 0, slabs_open = 0, last;

	walk_expect(walk, 0, "clean spans in bins", walk->free[SPAN_FREE_CLEAN],
		    check_bins(walk, &header->clean, SPAN_FREE_CLEAN));
	walk_expect(walk, 0, "dirty spans in bins", walk->free[SPAN_FREE_DIRTY],
		    check_bins(walk, &header->dirty, SPAN_FREE_DIRTY));
	walk_expect(walk, 0, "purged spans in bins", walk->free[SPAN_FREE_PURGED],
		    check_bins(walk, &header->purged, SPAN_FREE_PURGED));
	check_ages(walk);
	for (unsigned shard = 0; shard < header->shard_count; shard++)
		for (unsigned class = 1; class < HEAP_CLASSES; class++) {
			const struct layout_slab_list *list = &header->slabs[shard][class];
			slabs += list->count;
			walk->free_slots = 0;
			slabs_open += check_list(walk, list->head,
						 &(struct membership){SPAN_SLAB, 0, class, shard}, &last);
			walk_expect(walk, heap_offset(&list->tail), "tail of a list of slabs", last,
				    list->tail);
			walk_expect(walk, heap_offset(&list->free_count), "free slots of a list of slabs",
				    walk->free_slots, list->free_count);
		}
	walk_expect(walk, 0, "slabs", walk->slabs, slabs);
	walk_expect(walk, 0, "slabs with free slots in lists", walk->slabs_open, slabs_open);
	const uint32_t unused =
		check_list(walk, header->span_free, &(struct membership){.kind = SPAN_UNUSED}, &last);
	walk_expect_field(walk, span_top, 1 + walk->spans + unused);
	walk_expect_field(walk, used_pages, walk->used_pages);
	walk_expect_field(walk, dirty_pages, walk->dirty_pages);
	walk_expect(walk, offsetof(struct layout_heap, recent_pages), "header: recent_pages", 1,
		    header->recent_pages >= walk->used_pages);
	walk_expect(walk, offsetof(struct layout_heap, used_pages_peak), "header: used_pages_peak", 1,
		    header->used_pages_peak >= walk->used_pages);
}

/* Free metadata: what is left of the newest span, and blocks to be used again. */
static void check_meta(struct walk *walk)
{
	const struct layout_heap *header = state.header;
	const uint64_t rest = header->meta_bump_end - header->meta_bump;
	const uint64_t units_max = walk->used_pages * (HEAP_PAGE_BYTES / HEAP_META_UNIT);
	walk_expect(walk, offsetof(struct layout_heap, meta_bump), "unused metadata is metadata", 1,
		    header->meta_bump <= header->meta_bump_end && rest % HEAP_META_UNIT == 0 &&
			    header->meta_bump % HEAP_META_UNIT == 0 &&
			    (rest == 0 || walk_lies_in_meta(header->meta_bump, rest)));
	for (unsigned units = 0; units < HEAP_META_LISTS; units++) {
		uint64_t count = 0;
		for (uint64_t at = header->meta_free[units]; at != 0;
		     at = *(const uint64_t *)heap_pointer(at)) {
			if (units == 0 || at % HEAP_META_UNIT != 0 || count++ == units_max ||
			    !walk_lies_in_meta(at, units * HEAP_META_UNIT)) {
				walk_expect(walk, at, "free metadata is metadata, linked once", 1, 0);
				break;
			}
		}
	}
}

static void check_roots(struct walk *walk)
{
	static const struct layout_root free_root;
	for (unsigned i = 0; i < HEAP_ROOTS; i++) {
		const struct layout_root *root = &state.roots[i];
		const uint64_t at = heap_offset(root);
		if (root->name[0] == '\0') {
			walk_expect(walk, at, "free root is empty", 0,
				    memcmp(root, &free_root, sizeof(*root)) != 0);
			continue;
		}
		walk_expect(walk, at, "root's name ends", 1,
			    memchr(root->name, '\0', sizeof(root->name)) != NULL);
		walk_expect(walk, at, "root points into the data", 1,
			    root->offset >= state.header->data_start &&
				    root->offset < state.header->data_end);
	}
}

size_t heap_check(void (*report)(void *context, const struct heap_finding *finding), void *context)
{
	struct walk walk = {.report = report, .context = context};
	if (!heap_is_there())
		return 0;
	heap_prefork();
	if (check_header(&walk) && check_tiling(&walk)) {
		check_spans(&walk);
		check_lists(&walk);
		check_meta(&walk);
		check_roots(&walk);
		walk_caches(&walk);
	}
	heap_postfork_parent();
	return walk.findings;
}
