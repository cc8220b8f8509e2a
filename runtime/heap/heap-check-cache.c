/*
 * The validator's second half: thread caches, each of whose slots must be CACHED and in one cache
 * only.
 *
 * To see that, a slot met in a cache is marked SEEN; the walk over the slabs afterwards turns SEEN
 * back and reports what is CACHED but in no cache. All look-ups go through a pagemap that has been
 * verified, and only into slabs that are sound, so that no byte but a slot's state is written
 * whatever a damaged cache points to.
 */
#include "heap-walk.h"
#include "sizeclass.h"
#include "tcache.h"

#define SLOT_SEEN 4 /* no state else */

/* A slot a cache holds: the pair must be a slot of the class and its state, CACHED, unseen. */
static void check_cached(struct walk *walk, unsigned class, const char *slot, uint8_t *slot_state,
			 uint64_t cache)
{
	const struct layout_span *span =
		walk_lies_in_data(slot, 1) ? heap_span_at(heap_offset(slot)) : &state.spans[0];
	const bool is_slot = span->kind == SPAN_SLAB && span->class == class &&
			     walk_slab_is_sound(span) &&
			     (uint64_t)(slot - span->start) % span->slot_bytes == 0 &&
			     (uint64_t)(slot - span->start) / span->slot_bytes < span->slot_count;

	walk_expect(walk, cache, "cached pointer is a slot of its class", 1, is_slot);
	if (!is_slot)
		return;
	uint8_t *state_of_slot = span->states + (slot - span->start) / span->slot_bytes;
	walk_expect(walk, cache, "cached slot's state byte", heap_offset(state_of_slot),
		    heap_offset(slot_state));
	walk_expect(walk, heap_offset(state_of_slot), "cached slot is CACHED, and in one cache only",
		    SLOT_CACHED, *state_of_slot);
	if (*state_of_slot == SLOT_CACHED)
		*state_of_slot = SLOT_SEEN;
}

static void check_run(struct walk *walk, const struct layout_bin *bin, unsigned class,
		      uint64_t cache)
{
	const uint32_t next = run_next(bin->run), stop = run_stop(bin->run);
	const bool is_ordered = next <= stop && stop <= state.header->classes[class].slot_count;
	walk_expect(walk, cache, "cache's run is in order", 1, is_ordered);
	if (!is_ordered || next == stop)
		return;
	const struct layout_span *span = walk_lies_in_data(bin->run_slots, 1) ?
						 heap_span_at(heap_offset(bin->run_slots)) :
						 &state.spans[0];
	const bool is_slab = span->kind == SPAN_SLAB && span->start == bin->run_slots;
	walk_expect(walk, cache, "cache's run lies in a slab", 1, is_slab);
	for (uint32_t i = next; is_slab && i < stop; i++)
		check_cached(walk, class, bin->run_slots + (size_t)i * sizeclass_bytes(class),
			     bin->run_states + i, cache);
}

static void check_bin(struct walk *walk, const struct layout_bin *bin, unsigned class,
		      const struct layout_entry *entries, uint64_t cache)
{
	const unsigned capacity = sizeclass_capacity(class);
	const bool is_in_place = bin->entries == entries && bin->limit > entries &&
				 bin->limit <= entries + capacity && bin->top >= entries &&
				 bin->top <= bin->limit;
	walk_expect(walk, cache, "cache's stack is in its place, within its limit", 1, is_in_place);
	walk_expect(walk, cache, "cache's slot bytes", sizeclass_bytes(class), bin->slot_bytes);
	walk_expect(walk, cache, "cache's batch is 1 to its capacity", 1,
		    bin->batch >= 1 && bin->batch <= capacity);
	walk_expect(walk, cache, "cache's reserved bytes", 0, bin->reserved);
	for (const struct layout_entry *entry = entries; is_in_place && entry < bin->top; entry++)
		check_cached(walk, class, entry->slot, entry->state, cache);
	check_run(walk, bin, class, cache);
}

static void check_cache(struct walk *walk, const struct layout_tcache *cache, uint64_t at)
{
	static const struct layout_bin none;
	const struct layout_entry *entries = cache->entries;
	walk_expect(walk, at, "cache's generation has been", 1,
		    cache->generation <= state.header->generation);
	walk_expect(walk, at, "cache's shard is one", 1, cache->shard < state.header->shard_count);
	walk_expect(walk, at, "cache's bin of large blocks is none", 0,
		    memcmp(&cache->bins[0], &none, sizeof(none)) != 0);
	for (unsigned i = 0; i < sizeof(cache->reserved) / sizeof(cache->reserved[0]); i++)
		walk_expect(walk, at, "cache's reserved bytes", 0, cache->reserved[i]);
	for (unsigned class = 1; class < HEAP_CLASSES; class++) {
		/* A copy: marking slots must not move what bounds the loops, whatever overlaps. */
		const struct layout_bin bin = cache->bins[class];
		check_bin(walk, &bin, class, entries, at);
		entries += sizeclass_capacity(class);
	}
}

static void check_list(struct walk *walk)
{
	const struct layout_tcache *cache;
	uint32_t count = 0;
	for (uint64_t at = state.header->tcaches; at != 0; at = cache->next) {
		if (at % HEAP_PAGE_BYTES != 0 || !walk_lies_in_meta(at, tcache_bytes()) ||
		    count++ == state.header->span_top) {
			walk_expect(walk, at, "thread cache is metadata, linked once", 1, 0);
			return;
		}
		cache = (const struct layout_tcache *)heap_pointer(at);
		check_cache(walk, cache, at);
	}
}

/* A CACHED slot nobody has is lost: a fork may lose what other threads held in their hands. */
static void check_lost(struct walk *walk, const struct layout_span *span)
{
	for (uint32_t i = 0; i < span->slot_count; i++) {
		uint8_t *slot_state = &span->states[i];
		if (*slot_state == SLOT_CACHED && !state.is_forked)
			walk_expect(walk, heap_offset(slot_state), "cached slot is in a cache", SLOT_SEEN,
				    SLOT_CACHED);
		if (*slot_state == SLOT_SEEN)
			*slot_state = SLOT_CACHED;
	}
}

void walk_caches(struct walk *walk)
{
	const struct layout_heap *header = state.header;
	check_list(walk);
	for (uint64_t at = header->data_start; at < header->data_end;) {
		const struct layout_span *span = heap_span_at(at);
		if (span->kind == SPAN_SLAB && walk_slab_is_sound(span))
			check_lost(walk, span);
		at += span->page_count * HEAP_PAGE_BYTES;
	}
}
