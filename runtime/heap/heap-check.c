/*
 * The validator: walks the whole heap and verifies every invariant heap-layout.h states.
 *
 * It goes from the outside in: header, tiling of the data by spans, each span by its kind, then
 * the lists that are redundant with it (free bins, age order, slabs with free slots, free
 * records), and last the thread caches, each of whose slots must be CACHED and in one cache only.
 * To see the latter, a slot met in a cache is marked SEEN; the walk over the slabs afterwards
 * turns SEEN back and reports what is CACHED but in no cache.
 *
 * It never follows a number it has not checked against the tables' bounds, so it survives any
 * bytes; every loop is bounded by the number of records.
 */
#include "state.h"

#define SLOT_SEEN 3

/* One walk: where findings go, how many there were, and what the spans add up to. */
struct walk {
	void (*report)(void *context, const struct heap_finding *finding);
	void *context;
	size_t findings;
	uint64_t used_pages, dirty_pages;
	uint32_t spans, clean, dirty, slabs, slabs_open;
};

static void expect(struct walk *walk, uint64_t offset, const char *what, uint64_t expected,
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

static bool is_record(uint32_t id)
{
	return id != 0 && id < state.header->span_top;
}

static bool lies_in_data(const void *p, uint64_t bytes)
{
	const uint64_t offset = heap_offset(p);
	return heap_has(p) && offset >= state.header->data_start &&
	       offset <= state.header->data_end && bytes <= state.header->data_end - offset;
}

static void check_pagemap(struct walk *walk, const struct layout_span *span, uint32_t id)
{
	const uint32_t first = heap_page_of(heap_start_of(span));
	for (uint32_t i = 0; i < span->page_count; i++) {
		const bool is_end = i == 0 || i == span->page_count - 1;
		expect(walk, state.header->pagemap + (first + i) * sizeof(uint32_t),
		       "pagemap entry", is_end || span->kind == SPAN_SLAB ? id : 0,
		       state.pagemap[first + i]);
	}
}

static void check_slab(struct walk *walk, const struct layout_span *span, uint64_t at)
{
	const struct layout_class *geometry = &state.header->classes[span->class % HEAP_CLASSES];
	uint32_t free_count = 0;

	expect(walk, at, "slab's class is one", 1, span->class >= 1 && span->class < HEAP_CLASSES);
	expect(walk, at, "slab's shard is one", 1, span->shard < state.header->shard_count);
	expect(walk, at, "slot bytes", geometry->slot_bytes, span->slot_bytes);
	expect(walk, at, "slot count", geometry->slot_count, span->slot_count);
	expect(walk, at, "inverse", geometry->inverse, span->inverse);
	expect(walk, at, "slab pages", geometry->page_count, span->page_count);
	const uint8_t *states = span->states;
	if (span->slot_count != geometry->slot_count || !lies_in_data(states, span->slot_count)) {
		expect(walk, at, "slot states lie in the data", 1, 0);
		return;
	}
	for (uint32_t i = 0; i < span->slot_count; i++) {
		expect(walk, heap_offset(states + i), "slot state is one", 1, states[i] <= SLOT_CACHED);
		if (states[i] == SLOT_FREE) {
			free_count++;
			expect(walk, at, "no free slot below the cursor", 1, i >= span->cursor);
		}
	}
	expect(walk, at, "free slots", free_count, span->free_count);
	walk->slabs++;
	walk->slabs_open += span->free_count != 0;
}

static void check_span(struct walk *walk, const struct layout_span *span, uint32_t id,
		       uint8_t kind_before)
{
	const uint64_t at = offset_of_record(id);
	check_pagemap(walk, span, id);
	walk->spans++;
	switch (span->kind) {
	case SPAN_FREE_CLEAN:
	case SPAN_FREE_DIRTY:
		expect(walk, at, "free neighbours of one kind are joined", 0,
		       span->kind == kind_before);
		*(span->kind == SPAN_FREE_DIRTY ? &walk->dirty : &walk->clean) += 1;
		if (span->kind == SPAN_FREE_DIRTY)
			walk->dirty_pages += span->page_count;
		return;
	case SPAN_SLAB:
		check_slab(walk, span, at);
		break;
	case SPAN_LARGE:
		expect(walk, at, "large block's slot bytes", 0, span->slot_bytes);
		expect(walk, at, "large block's inverse", 1, span->inverse);
		expect(walk, at, "large block's state", at + offsetof(struct layout_span, large_state),
		       heap_offset(span->states));
		/* As with slots, a fork may fall between free()'s mark and its lock. */
		if (span->large_state != SLOT_CACHED || state.header->generation == 1)
			expect(walk, at, "large block is live", SLOT_LIVE, span->large_state);
		break;
	case SPAN_META:
		break;
	default:
		expect(walk, at, "span kind", SPAN_META, span->kind);
	}
	walk->used_pages += span->page_count;
}

/* The spans tile the data without gaps; false: they do not, and nothing else can be trusted. */
static bool check_tiling(struct walk *walk)
{
	const struct layout_heap *header = state.header;
	uint8_t kind_before = SPAN_UNUSED;

	for (uint64_t at = header->data_start; at < header->data_end;) {
		const uint32_t id = state.pagemap[heap_page_of(at)];
		const struct layout_span *span = &state.spans[is_record(id) ? id : 0];
		const uint64_t left = (header->data_end - at) / HEAP_PAGE_BYTES;
		if (!is_record(id) || heap_start_of(span) != at || span->page_count == 0 ||
		    span->page_count > left) {
			expect(walk, at, "a span begins here", at,
			       heap_start_of(span));
			return false;
		}
		check_span(walk, span, id, kind_before);
		kind_before = span->kind;
		at += span->page_count * HEAP_PAGE_BYTES;
	}
	return true;
}

static bool check_header(struct walk *walk)
{
	const struct layout_heap *header = state.header;
	const size_t before = walk->findings;
	expect(walk, 0, "heap magic", HEAP_MAGIC, header->magic);
	expect(walk, 0, "range of pointers", header->data_end, heap_range.size);
	expect(walk, 0, "data lies in the heap", 1,
	       header->data_start <= header->data_end && header->data_end <= header->size_bytes);
	expect(walk, 0, "span records fit", 1,
	       header->span_top >= 1 && header->span_top <= header->span_capacity &&
		       header->span_top * sizeof(struct layout_span) <= header->spans_open);
	expect(walk, 0, "pagemap is open", 1,
	       header->data_end / HEAP_PAGE_BYTES * sizeof(uint32_t) <= header->pagemap_open);
	expect(walk, 0, "shards", 1,
	       header->shard_count >= 1 && header->shard_count <= HEAP_SHARDS_MAX);
	return walk->findings == before;
}

/* Length of a list of spans through next; every one must satisfy the caller's kind. */
static uint32_t check_list(struct walk *walk, uint32_t head, enum span_kind kind)
{
	uint32_t length = 0;
	uint32_t before = 0;
	for (uint32_t id = head; id != 0; id = state.spans[id].next) {
		if (!is_record(id) || length++ == state.header->span_top) {
			expect(walk, offset_of_record(before), "list link", 0, id);
			break;
		}
		expect(walk, offset_of_record(id), "kind of a span in a list", kind,
		       state.spans[id].kind);
		if (kind != SPAN_UNUSED)
			expect(walk, offset_of_record(id), "list link back", before,
			       state.spans[id].prev);
		before = id;
	}
	return length;
}

static uint32_t check_bins(struct walk *walk, const struct layout_span_bins *bins,
			   enum span_kind kind)
{
	uint32_t spans = 0;
	for (unsigned bin = 0; bin < HEAP_SPAN_BINS; bin++) {
		expect(walk, 0, "bin's bit", bins->head[bin] != 0,
		       bins->occupied[bin / 64] >> (bin % 64) & 1);
		spans += check_list(walk, bins->head[bin], kind);
	}
	return spans;
}

static void check_lists(struct walk *walk)
{
	const struct layout_heap *header = state.header;
	uint32_t slabs = 0, slabs_open = 0, aged = 0;

	expect(walk, 0, "clean spans in bins", walk->clean,
	       check_bins(walk, &header->clean, SPAN_FREE_CLEAN));
	expect(walk, 0, "dirty spans in bins", walk->dirty,
	       check_bins(walk, &header->dirty, SPAN_FREE_DIRTY));
	for (uint32_t id = header->dirty_oldest; is_record(id) && aged < header->span_top;
	     id = state.spans[id].newer)
		aged++;
	expect(walk, 0, "dirty spans by age", walk->dirty, aged);
	for (unsigned shard = 0; shard < header->shard_count; shard++)
		for (unsigned class = 1; class < HEAP_CLASSES; class++) {
			const struct layout_slab_list *list = &header->slabs[shard][class];
			slabs += list->count;
			slabs_open += check_list(walk, list->head, SPAN_SLAB);
		}
	expect(walk, 0, "slabs", walk->slabs, slabs);
	expect(walk, 0, "slabs with free slots in lists", walk->slabs_open, slabs_open);
	const uint32_t unused = check_list(walk, header->span_free, SPAN_UNUSED);
	expect(walk, 0, "records in use and unused", header->span_top,
	       1 + walk->spans + unused);
	expect(walk, 0, "pages in use", walk->used_pages, header->used_pages);
	expect(walk, 0, "dirty pages", walk->dirty_pages, header->dirty_pages);
}

/* A slot a cache holds: the given pair must be a slot of the class, CACHED, and not seen yet. */
static void check_cached(struct walk *walk, unsigned class, const char *slot, uint8_t *slot_state,
			 uint64_t cache)
{
	const uint64_t offset = heap_offset(slot);
	if (!lies_in_data(slot, 1)) {
		expect(walk, cache, "cached slot lies in the data", 1, 0);
		return;
	}
	const struct layout_span *span = heap_span_at(offset);
	const uint64_t index = span->slot_bytes ? (uint64_t)(slot - span->start) / span->slot_bytes : 0;
	expect(walk, offset, "class of a cached slot", class, span->class);
	expect(walk, offset, "state byte of a cached slot", heap_offset(span->states + index),
	       heap_offset(slot_state));
	if (span->class != class || span->states + index != slot_state)
		return;
	expect(walk, offset, "cached slot's state, in one cache only", SLOT_CACHED, *slot_state);
	if (*slot_state == SLOT_CACHED)
		*slot_state = SLOT_SEEN;
}

static void check_bin(struct walk *walk, const struct layout_bin *bin, unsigned class,
		      uint64_t cache)
{
	const bool is_bounded = bin->entries <= bin->top && bin->top <= bin->limit &&
				lies_in_data(bin->entries, 0) && lies_in_data(bin->limit, 0);
	expect(walk, cache, "cache's stack is within its limit", 1, is_bounded);
	for (const struct layout_entry *entry = bin->entries; is_bounded && entry < bin->top; entry++)
		check_cached(walk, class, entry->slot, entry->state, cache);
	const uint32_t next = (uint32_t)bin->run, stop = (uint32_t)(bin->run >> 32);
	expect(walk, cache, "cache's run is in order", 1,
	       next <= stop && stop <= state.header->classes[class].slot_count);
	for (uint32_t i = next; i < stop && i < state.header->classes[class].slot_count; i++)
		check_cached(walk, class, bin->run_slots + (size_t)i * bin->slot_bytes,
			     bin->run_states + i, cache);
}

static void check_caches(struct walk *walk)
{
	const struct layout_tcache *cache;
	uint32_t count = 0;
	for (uint64_t at = state.header->tcaches; at != 0; at = cache->next) {
		if (at < state.header->data_start ||
		    at + sizeof(*cache) > state.header->data_end ||
		    count++ == state.header->span_top) {
			expect(walk, at, "thread cache lies in the data", 1, 0);
			return;
		}
		cache = (const struct layout_tcache *)heap_pointer(at);
		for (unsigned class = 1; class < HEAP_CLASSES; class++)
			check_bin(walk, &cache->bins[class], class, at);
	}
}

/* Turn SEEN back into CACHED. A CACHED slot nobody has is lost: fork may lose one a thread. */
static void check_lost(struct walk *walk)
{
	for (uint32_t id = 1; id < state.header->span_top; id++) {
		const struct layout_span *span = &state.spans[id];
		if (span->kind != SPAN_SLAB)
			continue;
		uint8_t *states = span->states;
		for (uint32_t i = 0; i < span->slot_count; i++) {
			if (states[i] == SLOT_CACHED && state.header->generation == 1)
				expect(walk, heap_offset(states + i), "cached slot is in a cache",
				       SLOT_SEEN, SLOT_CACHED);
			if (states[i] == SLOT_SEEN)
				states[i] = SLOT_CACHED;
		}
	}
}

static void check_roots(struct walk *walk)
{
	for (unsigned i = 0; i < HEAP_ROOTS; i++) {
		const struct layout_root *root = &state.roots[i];
		const uint64_t at = heap_offset(root);
		expect(walk, at, "root's name ends", 1,
		       memchr(root->name, '\0', sizeof(root->name)) != NULL);
		if (root->name[0] != '\0')
			expect(walk, at, "root points into the data", 1,
			       root->offset >= state.header->data_start &&
				       root->offset < state.header->data_end);
	}
}

size_t heap_check(void (*report)(void *context, const struct heap_finding *finding), void *context)
{
	struct walk walk = {.report = report, .context = context};
	if (heap_range.size == 0)
		return 0;
	heap_prefork();
	if (check_header(&walk) && check_tiling(&walk)) {
		check_lists(&walk);
		check_caches(&walk);
		check_lost(&walk);
		check_roots(&walk);
	}
	heap_postfork_parent();
	return walk.findings;
}
