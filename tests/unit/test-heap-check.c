/* The validator: every invariant, damaged in one place, gives the finding that names it; any bytes
 * at all give findings, and never a crash; a whole heap gives none. */
#include "arena.h"

#include "heap/sizeclass.h"
#include "heap/tcache.h"

/* A heap with one of everything: slabs of several classes with live, free and cached slots, large
 * blocks, clean, purged and dirty spans, free metadata, roots. */
static char *small, *small_next, *cached, *large, *dirty_one, *dirty_two;

static void furnish(void)
{
	arena_reserve(64 * MIB, PROT_READ | PROT_WRITE);
	cr_assert_eq(heap_create(&arena_memory, arena.base, 64 * MIB, 64 * MIB), 0);
	void *early[20];
	for (int i = 0; i < 20; i++)
		early[i] = heap_alloc(100000 + (size_t)i * 8192);
	for (int i = 0; i < 20; i += 2)
		heap_free(early[i]);
	for (size_t size = 16; size <= 20000; size += size / 2)
		for (int i = 0; i < 40; i++)
			if (i % 4)
				(void)heap_alloc(size);
			else
				heap_free(heap_alloc(size));
	void *given_back[2000];
	for (int i = 0; i < 2000; i++)
		given_back[i] = heap_alloc(700);
	for (int i = 0; i < 2000; i++)
		heap_free(given_back[i]);
	heap_trim();
	small = heap_alloc(100);
	small_next = heap_alloc(100);
	cached = heap_alloc(100);
	heap_free(cached);
	large = heap_alloc(100000);
	dirty_one = heap_alloc(MIB);
	(void)heap_alloc(MIB);
	dirty_two = heap_alloc(MIB);
	(void)heap_alloc(MIB);
	heap_free(dirty_one);
	heap_free(dirty_two);
	cr_assert_eq(heap_set_root("one", small), 0);
	cr_assert_eq(heap_set_root("two", large), 0);
	arena_assert_whole();
}

TestSuite(heap_check, .init = furnish, .timeout = 100);

/* Damages one place, expects `what` as the first finding, of `count` in all (0: of any number),
 * and repairs it. */
static void damage_expecting(void *at, size_t bytes, uint64_t value, const char *what, size_t count)
{
	uint64_t before = 0, after = 0;
	memcpy(&before, at, bytes);
	memcpy(at, &value, bytes);
	memcpy(&after, at, bytes);
	cr_assert_neq(before, after, "%s: the damage is none", what);
	const size_t found = arena_check();
	const struct heap_finding first = arena_findings[0];
	memcpy(at, &before, bytes);
	cr_assert_gt(found, 0, "%s: not found", what);
	cr_assert_str_eq(first.what, what, "%s, not %s", first.what, what);
	cr_assert(count == 0 || found == count, "%s: %zu findings", what, found);
	cr_assert_neq(first.expected, first.found);
	arena_assert_whole();
}

#define DAMAGE(lvalue, value, what, count) \
	damage_expecting(&(lvalue), sizeof(lvalue), (uint64_t)(value), what, count)

static struct layout_span *span_of_kind(enum span_kind kind)
{
	for (uint32_t id = 1; id < state.header->span_top; id++)
		if (state.spans[id].kind == kind)
			return &state.spans[id];
	cr_assert_fail("no span of kind %d", (int)kind);
	abort();
}

static struct layout_bin *bin_of_small(void)
{
	return &tcache_self->bins[sizeclass_of(100)];
}

static uint8_t *state_of(const char *slot)
{
	const struct layout_span *span = heap_span_of(slot);
	return span->states + (slot - span->start) / span->slot_bytes;
}

Test(heap_check, a_furnished_heap_has_one_of_everything)
{
	for (int kind = SPAN_UNUSED; kind <= SPAN_META; kind++)
		(void)span_of_kind((enum span_kind)kind);
	bool has_free_metadata = false;
	for (unsigned i = 1; i < HEAP_META_LISTS; i++)
		has_free_metadata |= state.header->meta_free[i] != 0;
	cr_assert(has_free_metadata);
	cr_assert_neq(state.header->dirty_oldest, state.header->dirty_newest);
	cr_assert_eq(heap_check(NULL, NULL), 0, "nobody need listen");
}

Test(heap_check, the_header)
{
	struct layout_heap *h = state.header;
	DAMAGE(h->magic, h->magic + 1, "header: magic", 1);
	DAMAGE(h->size_bytes, h->size_bytes - 4096, "header: size_bytes", 1);
	DAMAGE(h->pagemap, h->pagemap + 64, "header: pagemap", 1);
	DAMAGE(h->spans, h->spans + 64, "header: spans", 1);
	DAMAGE(h->data_start, h->data_start + 4096, "header: data_start", 1);
	DAMAGE(h->span_capacity, h->span_capacity + 1, "header: span_capacity", 1);
	DAMAGE(h->data_end, h->data_end + 4096, "header: data_end", 1);
	DAMAGE(h->data_end, h->data_end - 4096, "header: data_end", 1);
	DAMAGE(h->pagemap_open, 0, "pagemap is open", 1);
	DAMAGE(h->pagemap_open, h->spans, "pagemap is open", 1);
	DAMAGE(h->spans_open, 0, "span records fit", 1);
	DAMAGE(h->spans_open, h->data_start, "span table is in its place", 1);
	DAMAGE(h->span_top, 0, "span records fit", 1);
	DAMAGE(h->span_top, UINT32_MAX, "span records fit", 1);
	DAMAGE(h->span_top, h->span_top + 1, "header: span_top", 1);
	DAMAGE(h->shard_count, 0, "shards are a power of two", 1);
	DAMAGE(h->shard_count, 17, "shards are a power of two", 1);
	DAMAGE(h->shard_count, h->shard_count / 2, h->shard_count == 2 ? "shards are a power of two" :
	       "header: shard_count", 0);
	DAMAGE(h->generation, 0, "generation is one, not the last", 1);
	DAMAGE(h->generation, UINT32_MAX, "generation is one, not the last", 1);
	DAMAGE(h->used_pages, h->used_pages + 1, "header: used_pages", 1);
	DAMAGE(h->used_pages_peak, 0, "header: used_pages_peak", 1);
	DAMAGE(h->dirty_pages, 0, "header: dirty_pages", 1);
	for (unsigned class = 1; class < HEAP_CLASSES; class++) {
		DAMAGE(h->classes[class].slot_bytes, 0, "class geometry", 1);
		DAMAGE(h->classes[class].slot_count, UINT32_MAX, "class geometry", 1);
		DAMAGE(h->classes[class].page_count, 0, "class geometry", 1);
		DAMAGE(h->classes[class].inverse, 1, "class geometry", 1);
		DAMAGE(h->classes[class].reserved, 1, "class geometry", 1);
	}
}

/* Invariant 1. */
Test(heap_check, spans_tile_the_data)
{
	struct layout_span *span = heap_span_of(large);
	DAMAGE(span->start, span->start + 4096, "a span begins here, and fits", 1);
	DAMAGE(span->page_count, 0, "a span begins here, and fits", 1);
	DAMAGE(span->page_count, UINT32_MAX, "a span begins here, and fits", 1);
	DAMAGE(span->page_count, span->page_count - 1, "pagemap entry", 0);
	DAMAGE(span->page_count, span->page_count + 1, "pagemap entry", 0);
	DAMAGE(span->kind, SPAN_KINDS, "span kind is one", 1);
	DAMAGE(span->kind, SPAN_UNUSED, "span kind is one", 1);
	DAMAGE(state.pagemap[heap_page_of(heap_start_of(span))], 0, "a span begins here, and fits", 1);
	DAMAGE(state.pagemap[heap_page_of(heap_start_of(span))], UINT32_MAX,
	       "a span begins here, and fits", 1);
}

/* Invariant 2. */
Test(heap_check, the_pagemap_names_the_ends_and_all_of_a_slab)
{
	const uint32_t large_page = heap_page_of(heap_offset(large));
	const uint32_t slab_page = heap_page_of(heap_start_of(heap_span_of(small)));
	DAMAGE(state.pagemap[large_page + 24], 0, "pagemap entry", 1);
	DAMAGE(state.pagemap[large_page + 5], heap_span_id(heap_span_of(large)), "pagemap entry", 1);
	DAMAGE(state.pagemap[slab_page + 5], 0, "pagemap entry", 1);
	DAMAGE(state.pagemap[slab_page + 5], UINT32_MAX, "pagemap entry", 1);
	DAMAGE(state.pagemap[heap_page_of(heap_offset(dirty_one)) + 7], 1, "pagemap entry", 1);
}

/* Invariant 3. */
Test(heap_check, free_neighbours_are_joined)
{
	struct layout_span *dirty = heap_span_of(dirty_one);
	char *middle = dirty->start + 100 * HEAP_PAGE_BYTES;
	struct layout_span *rest = span_of_kind(SPAN_UNUSED);
	cr_assert_neq(heap_span_id(rest), 0);
	const struct layout_span dirty_before = *dirty, rest_before = *rest;
	*rest = *dirty;
	rest->start = middle;
	rest->page_count -= 100;
	dirty->page_count = 100;
	uint32_t *map = state.pagemap + heap_page_of(heap_start_of(dirty));
	const uint32_t last = dirty_before.page_count - 1;
	map[99] = map[0];
	map[100] = map[last] = heap_span_id(rest);
	cr_assert_gt(arena_check(), 0);
	cr_assert_str_eq(arena_findings[0].what, "free neighbours of one kind are joined");
	map[99] = map[100] = 0;
	map[last] = map[0];
	*dirty = dirty_before;
	*rest = rest_before;
	arena_assert_whole();
}

/* Invariant 4. */
Test(heap_check, slabs)
{
	struct layout_span *slab = heap_span_of(small);
	const unsigned class = slab->class;
	uint8_t *live = state_of(small);
	DAMAGE(slab->class, 0, "slab's class is one", 0);
	DAMAGE(slab->class, 200, "slab's class is one", 0);
	DAMAGE(slab->class, class + 1, "slot bytes", 0);
	DAMAGE(slab->shard, 99, "slab's shard is one", 0);
	DAMAGE(slab->shard, slab->shard ^ 1, "span is in the list of its like", 1);
	DAMAGE(slab->slot_bytes, 128, "slot bytes", 0);
	DAMAGE(slab->slot_count, 1, "slot count", 0);
	DAMAGE(slab->slot_count, UINT32_MAX, "slot count", 0);
	DAMAGE(slab->inverse, slab->inverse + 1, "inverse", 1);
	DAMAGE(slab->states, NULL, "slot states are metadata", 0);
	DAMAGE(slab->states, large, "slot states are metadata", 0);
	DAMAGE(slab->states, slab->states + 1, "slot states are metadata", 0);
	DAMAGE(slab->free_count, slab->free_count + 1, "free slots", 2); /* and the list's */
	DAMAGE(slab->free_count, 0, "free slots", 0);
	DAMAGE(slab->cursor, slab->slot_count, "no free slot below the cursor", slab->free_count);
	DAMAGE(slab->next, heap_span_id(slab), "list link back", 0);
	DAMAGE(slab->next, UINT32_MAX, "list link", 0);
	DAMAGE(slab->prev, 1, "list link back", 1);
	DAMAGE(*live, SLOT_FREE, "no free slot below the cursor", 2);
	DAMAGE(*live, 76, "slot state is one", 1);
	DAMAGE(*live, SLOT_CACHED, "cached slot is in a cache", 1);
	DAMAGE(slab->flags, 128, "span flags", 1);
	DAMAGE(slab->reserved[1], 1, "span's reserved bytes", 1);
	struct layout_slab_list *list = &state.header->slabs[slab->shard][class];
	DAMAGE(list->head, 0, "tail of a list of slabs", 0);
	DAMAGE(list->tail, 0, "tail of a list of slabs", 1);
	DAMAGE(list->count, list->count - 1, "slabs", 1);
	DAMAGE(list->free_count, list->free_count + 1, "free slots of a list of slabs", 1);
	DAMAGE(state.header->slabs[slab->shard][class + 1].head, heap_span_id(slab),
	       "span is in the list of its like", 0);
}

/* Invariant 5. */
Test(heap_check, large_blocks)
{
	struct layout_span *span = heap_span_of(large);
	DAMAGE(span->slot_bytes, 16, "large block's slot bytes", 1);
	DAMAGE(span->inverse, 0, "large block's inverse", 1);
	DAMAGE(span->class, 3, "large block's class", 1);
	DAMAGE(span->states, span->states + 1, "large block's state", 1);
	DAMAGE(span->large_state, SLOT_FREE, "large block is live", 1);
	DAMAGE(span->large_state, SLOT_CACHED, "large block is live", 1);
	DAMAGE(span->flags, 128, "span flags", 1);
}

/* Invariant 6. */
Test(heap_check, no_block_begins_in_other_spans)
{
	DAMAGE(heap_span_of(dirty_one)->inverse, 1, "inverse where no block begins", 1);
	DAMAGE(span_of_kind(SPAN_META)->inverse, 1, "inverse where no block begins", 1);
	DAMAGE(span_of_kind(SPAN_FREE_CLEAN)->inverse, 1, "inverse where no block begins", 1);
	DAMAGE(state.spans[0].inverse, 1, "record 0 is empty", 1);
	DAMAGE(state.spans[0].kind, SPAN_LARGE, "record 0 is empty", 1);
}

Test(heap_check, free_spans_stand_in_the_bin_of_their_size)
{
	static const enum span_kind kinds[] = {SPAN_FREE_CLEAN, SPAN_FREE_DIRTY};
	for (int i = 0; i < 2; i++) {
		struct layout_span *span = span_of_kind(kinds[i]);
		struct layout_span_bins *bins = i ? &state.header->dirty : &state.header->clean;
		unsigned bin = 0;
		while (!bins->head[bin])
			bin++;
		DAMAGE(bins->head[bin], 0, "bin's bit", 0);
		DAMAGE(bins->head[bin], UINT32_MAX, "list link", 0);
		DAMAGE(bins->occupied[bin / 64], 0, "bin's bit", 0);
		DAMAGE(bins->occupied[3], UINT64_C(1) << 40, "bin's bit", 1);
		DAMAGE(bins->head[bin + 1], bins->head[bin], "bin's bit", 0);
		DAMAGE(span->next, heap_span_id(span_of_kind(SPAN_LARGE)),
		       "span is in the list of its like", 0);
		DAMAGE(span->prev, 3 + heap_span_id(span), "list link back", 1);
	}
	DAMAGE(span_of_kind(SPAN_FREE_DIRTY)->flags, SPAN_ZERO, "span flags", 1);
}

Test(heap_check, dirty_spans_stand_in_order_of_release)
{
	struct layout_heap *h = state.header;
	struct layout_span *oldest = &state.spans[h->dirty_oldest];
	DAMAGE(h->dirty_oldest, 0, "dirty spans by age", 0);
	DAMAGE(h->dirty_oldest, UINT32_MAX, "age link", 0);
	DAMAGE(h->dirty_newest, h->dirty_oldest, "header: dirty_newest", 1);
	DAMAGE(oldest->newer, h->dirty_oldest, "age link back", 0);
	DAMAGE(oldest->newer, UINT32_MAX, "age link", 0);
	DAMAGE(oldest->newer, 0, "dirty spans by age", 2);
	DAMAGE(oldest->older, 1, "age link back", 1);
}

Test(heap_check, unused_records_are_linked)
{
	DAMAGE(state.header->span_free, 0, "header: span_top", 1);
	DAMAGE(state.header->span_free, heap_span_id(span_of_kind(SPAN_LARGE)),
	       "span is in the list of its like", 0);
	DAMAGE(state.header->span_free, UINT32_MAX, "list link", 0);
	struct layout_span *unused = &state.spans[state.header->span_free];
	DAMAGE(unused->next, heap_span_id(unused), "list link", 0);
}

Test(heap_check, free_metadata_is_metadata)
{
	struct layout_heap *h = state.header;
	DAMAGE(h->meta_bump, h->meta_bump_end + 64, "unused metadata is metadata", 1);
	DAMAGE(h->meta_bump, h->meta_bump + 1, "unused metadata is metadata", 1);
	DAMAGE(h->meta_bump_end, h->size_bytes, "unused metadata is metadata", 1);
	DAMAGE(h->meta_free[0], h->meta_bump, "free metadata is metadata, linked once", 1);
	for (unsigned i = 1; i < HEAP_META_LISTS; i++) {
		DAMAGE(h->meta_free[i], heap_offset(large), "free metadata is metadata, linked once", 0);
		DAMAGE(h->meta_free[i], UINT64_MAX, "free metadata is metadata, linked once", 1);
		if (h->meta_free[i])
			DAMAGE(*(uint64_t *)heap_pointer(h->meta_free[i]), h->meta_free[i],
			       "free metadata is metadata, linked once", 1);
	}
}

Test(heap_check, roots)
{
	struct layout_root *root = &state.roots[0];
	DAMAGE(root->offset, 0, "root points into the data", 1);
	DAMAGE(root->offset, state.header->data_end, "root points into the data", 1);
	DAMAGE(root->name[0], 0, "free root is empty", 1);
	DAMAGE(state.roots[1023].offset, 4096, "free root is empty", 1);
	struct layout_root before = *root;
	memset(root->name, 'x', sizeof(root->name));
	cr_assert_eq(arena_check(), 1);
	cr_assert_str_eq(arena_findings[0].what, "root's name ends");
	*root = before;
}

Test(heap_check, thread_caches)
{
	struct layout_tcache *cache = tcache_self;
	struct layout_bin *bin = bin_of_small();
	DAMAGE(state.header->tcaches, 64, "thread cache is metadata, linked once", 0);
	DAMAGE(state.header->tcaches, heap_offset(large), "thread cache is metadata, linked once", 0);
	DAMAGE(cache->next, state.header->tcaches, "cached slot is CACHED, and in one cache only", 0);
	DAMAGE(cache->generation, 7, "cache's generation has been", 1);
	DAMAGE(cache->shard, 16, "cache's shard is one", 1);
	DAMAGE(cache->bins[0].top, large, "cache's bin of large blocks is none", 1);
	DAMAGE(cache->reserved[3], 1, "cache's reserved bytes", 1);
	DAMAGE(bin->reserved, 1, "cache's reserved bytes", 1);
	DAMAGE(bin->entries, bin->entries + 1, "cache's stack is in its place, within its limit", 0);
	DAMAGE(bin->limit, bin->entries, "cache's stack is in its place, within its limit", 0);
	DAMAGE(bin->limit, bin->entries + 1000, "cache's stack is in its place, within its limit", 0);
	DAMAGE(bin->top, bin->entries - 1, "cache's stack is in its place, within its limit", 0);
	DAMAGE(bin->top, NULL, "cache's stack is in its place, within its limit", 0);
	DAMAGE(bin->slot_bytes, 16, "cache's slot bytes", 1);
	DAMAGE(bin->batch, 0, "cache's batch is 1 to its capacity", 1);
	DAMAGE(bin->batch, 100000, "cache's batch is 1 to its capacity", 1);
	DAMAGE(bin->run, UINT64_MAX, "cache's run is in order", 0);
	DAMAGE(bin->run, bin->run + 1, "cached slot is in a cache", 1);
	DAMAGE(bin->run, bin->run - 1, "cached slot is CACHED, and in one cache only", 0);
	DAMAGE(bin->run_slots, large, "cache's run lies in a slab", 0);
	DAMAGE(bin->run_slots, NULL, "cache's run lies in a slab", 0);
	DAMAGE(bin->run_states, bin->run_states + 1, "cached slot's state byte", 0);
}

Test(heap_check, cached_slots)
{
	struct layout_bin *bin = bin_of_small();
	struct layout_entry *entry = bin->top - 1;
	cr_assert_eq(entry->slot, cached);
	DAMAGE(bin->top, bin->entries, "cached slot is in a cache", 1);
	DAMAGE(entry->slot, NULL, "cached pointer is a slot of its class", 2);
	DAMAGE(entry->slot, cached + 16, "cached pointer is a slot of its class", 2);
	DAMAGE(entry->slot, large, "cached pointer is a slot of its class", 2);
	DAMAGE(entry->state, entry->state + 1, "cached slot's state byte", 1);
	DAMAGE(*entry->state, SLOT_FREE, "no free slot below the cursor", 3);
	DAMAGE(*entry->state, SLOT_LIVE, "cached slot is CACHED, and in one cache only", 1);
	const struct layout_entry live = {small, state_of(small)};
	const struct layout_entry before = *entry;
	*entry = live;
	cr_assert_eq(arena_check(), 2, "a live slot in a cache, and one that is in none");
	*entry = before;
	arena_assert_whole();
}

/* After a fork other threads' slots may be in no cache, which is no damage. */
Test(heap_check, slots_lost_by_a_fork_are_no_finding)
{
	state.is_forked = true;
	*state_of(small) = SLOT_CACHED;
	heap_span_of(large)->large_state = SLOT_CACHED;
	arena_assert_whole();
}

static unsigned rounds_of_damage;

/* Flips bits in tables and metadata, ever more of them. No damage may reach user data. */
static void check_damaged(void *arg)
{
	struct layout_span metas[64];
	size_t meta_count = 0, found = 0;
	(void)arg;
	for (uint32_t id = 1; id < state.header->span_top; id++)
		if (state.spans[id].kind == SPAN_META && meta_count < 64)
			metas[meta_count++] = state.spans[id];
	char *const starts[] = {arena.base, (char *)state.pagemap, (char *)state.spans};
	const size_t lengths[] = {sizeof(struct layout_heap), state.header->data_end / 1024,
				  state.header->span_top * sizeof(struct layout_span)};
	struct {
		char *at;
		char before;
	} flips[64];
	memset(large, 3, 100000);
	for (unsigned round = 0; round < rounds_of_damage; round++) {
		const size_t flip_count = (size_t)1 << arena_random(7);
		for (size_t i = 0; i < flip_count; i++) {
			const uint64_t where = arena_random(4);
			if (where < 3) {
				flips[i].at = starts[where] + arena_random(lengths[where]);
			} else {
				const struct layout_span *meta = &metas[arena_random(meta_count)];
				flips[i].at = meta->start + arena_random(meta->page_count * 4096);
			}
			flips[i].before = *flips[i].at;
			*flips[i].at ^= (char)(1 << arena_random(8));
		}
		found += heap_check(NULL, NULL) != 0;
		for (size_t i = flip_count; i-- > 0;)
			*flips[i].at = flips[i].before;
		CHILD_MUST(large[0] == 3 &&
			   memcmp(large, large + 1, 99999) == 0);
	}
	CHILD_MUST(found > rounds_of_damage / 4);
}

Test(heap_check, random_damage_is_survived)
{
	arena_seed();
	rounds_of_damage = 1500;
	arena_assert_child(check_damaged, NULL);
}

/* Whole pages of noise in place of the tables, one after another. */
static void check_noise(void *arg)
{
	(void)arg;
	for (size_t at = 4096; at + 4096 <= state.header->data_start; at += 4096) {
		char before[4096];
		memcpy(before, arena.base + at, 4096);
		for (size_t i = 0; i < 4096; i++)
			arena.base[at + i] = (char)arena_random(256);
		heap_check(NULL, NULL);
		memcpy(arena.base + at, before, 4096);
	}
}

Test(heap_check, noise_is_survived)
{
	arena_seed();
	arena_assert_child(check_noise, NULL);
}
