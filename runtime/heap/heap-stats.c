/* What the heap holds, counted by walking its spans: the fast paths keep no counters. */
#include "sizeclass.h"
#include "state.h"

static void count_slab(const struct layout_span *span, struct heap_stats *stats)
{
	const uint8_t *states = span->states;
	size_t live = 0, cached = 0;
	for (uint32_t i = 0; i < span->slot_count; i++) {
		const uint8_t slot = slot_state_get(&states[i]);
		live += slot_state_is_live(slot);
		cached += slot == SLOT_CACHED;
	}
	stats->live_blocks += live;
	stats->live_bytes += live * span->slot_bytes;
	stats->cached_bytes += cached * span->slot_bytes;
}

static void count_span(const struct layout_span *span, struct heap_stats *stats)
{
	const uint64_t bytes = span->page_count * HEAP_PAGE_BYTES;
	switch (span->kind) {
	case SPAN_SLAB:
		count_slab(span, stats);
		break;
	case SPAN_LARGE:
		stats->large_blocks++;
		stats->large_bytes += bytes;
		break;
	case SPAN_META:
		stats->meta_bytes += bytes;
		break;
	default:
		break;
	}
}

static size_t count_threads(void)
{
	size_t threads = 0;
	const struct layout_tcache *cache;
	for (uint64_t at = state.header->tcaches; at != 0; at = cache->next) {
		cache = (const struct layout_tcache *)heap_pointer(at);
		threads += cache->generation == state.header->generation;
	}
	return threads;
}

void heap_get_stats(struct heap_stats *ret_stats)
{
	const struct layout_heap *header = state.header;
	*ret_stats = (struct heap_stats){0};
	if (!heap_is_there())
		return;

	inside_enter();
	lock_acquire(&state.page_lock);
	for (uint32_t id = 1; id < header->span_top; id++)
		count_span(&state.spans[id], ret_stats);
	ret_stats->live_bytes += ret_stats->large_bytes;
	ret_stats->live_blocks += ret_stats->large_blocks;
	ret_stats->size_bytes = state.limit;
	const size_t tables = header->pagemap + header->pagemap_open + header->spans_open;
	ret_stats->meta_bytes += tables;
	ret_stats->open_bytes = header->data_end - header->data_start + tables;
	ret_stats->dirty_bytes = header->dirty_pages * HEAP_PAGE_BYTES;
	ret_stats->peak_bytes = header->used_pages_peak * HEAP_PAGE_BYTES;
	ret_stats->threads = count_threads();
	lock_release(&state.page_lock);
	inside_leave();
}
