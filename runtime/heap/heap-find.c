/*
 * Which block an address lies in, asked by those who look at a heap from outside, of any address
 * and of a heap nobody has validated: so every number is checked before it is followed, as in
 * heap-check.c, and nothing dies of a wrong one.
 */
#include "heap-walk.h"

/* The span of a page, found by its first page: inner pages of large blocks have no entry. */
static const struct layout_span *span_around(uint64_t offset)
{
	const struct layout_heap *header = state.header;
	const uint32_t first_page = heap_page_of(header->data_start);
	uint32_t page = heap_page_of(offset);

	while (page > first_page && state.pagemap[page] == 0)
		page--;
	const uint32_t id = state.pagemap[page];
	if (!walk_is_record(id))
		return NULL;
	const struct layout_span *span = &state.spans[id];
	const uint64_t start = heap_start_of(span);
	if (!walk_lies_in_data(span->start, span->page_count * HEAP_PAGE_BYTES) || offset < start ||
	    offset - start >= span->page_count * HEAP_PAGE_BYTES)
		return NULL;
	return span;
}

/* walk_slab_is_sound() asks the same where the spans are known to tile. */
static bool slab_is_sound(const struct layout_span *span)
{
	if (span->class == 0 || span->class >= HEAP_CLASSES)
		return false;
	const struct layout_class *geometry = &state.header->classes[span->class];
	if (span->slot_count != geometry->slot_count || span->slot_bytes != geometry->slot_bytes ||
	    !walk_lies_in_data(span->states, span->slot_count))
		return false;
	const struct layout_span *meta = span_around(heap_offset(span->states));
	return meta && meta->kind == SPAN_META;
}

bool heap_find_block(const void *p, void **ret_start, size_t *ret_bytes)
{
	if (!heap_is_there() || !walk_lies_in_data(p, 1))
		return false;
	const struct layout_span *span = span_around(heap_offset(p));
	if (!span)
		return false;
	if (span->kind == SPAN_LARGE) {
		*ret_start = span->start;
		*ret_bytes = span->page_count * HEAP_PAGE_BYTES;
		return slot_is_live(&span->large_state);
	}
	if (span->kind != SPAN_SLAB || !slab_is_sound(span))
		return false;
	const uint64_t slot = (uint64_t)((const char *)p - span->start) / span->slot_bytes;
	if (slot >= span->slot_count || !slot_is_live(&span->states[slot]))
		return false;
	*ret_start = span->start + slot * span->slot_bytes;
	*ret_bytes = span->slot_bytes;
	return true;
}
