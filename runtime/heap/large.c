/*
 * Large blocks are spans with one slot. free() treats them like any other: the state byte stands
 * in the span record itself.
 *
 * A block that is about to be written whole can be faulted in with one call instead of one fault
 * a page (0.2 against 0.5-0.7 us each); only the caller knows that, so it asks.
 */
#include "large.h"

#include "span.h"

static uint32_t pages_of(size_t size)
{
	return heap_page_of(size + HEAP_PAGE_BYTES - 1);
}

void *large_alloc(size_t size, size_t align_pages, bool *ret_is_zero)
{
	if (size > state.limit || align_pages > state.limit / HEAP_PAGE_BYTES)
		return NULL;
	lock_acquire(&state.page_lock);
	struct layout_span *span = span_new(size ? pages_of(size) : 1, (uint32_t)align_pages,
					    SPAN_LARGE);
	if (span) {
		*ret_is_zero = span->flags & SPAN_ZERO;
		span->inverse = 1;
		span->states = &span->large_state;
		slot_state_set(&span->large_state, SLOT_LIVE);
	}
	lock_release(&state.page_lock);
	return span ? span->start : NULL;
}

void large_free(struct layout_span *span)
{
	lock_acquire(&state.page_lock);
	span_release(span);
	lock_release(&state.page_lock);
}

bool large_resize(struct layout_span *span, size_t size)
{
	const uint32_t pages = pages_of(size);
	bool ok = true;
	if (size > state.limit)
		return false;
	/* Up to a quarter may be room that realloc left for growth. */
	if (pages <= span->page_count && pages >= span->page_count - span->page_count / 4)
		return true;
	inside_enter();
	lock_acquire(&state.page_lock);
	if (pages < span->page_count)
		span_shrink(span, pages);
	else
		ok = span_extend(span, pages);
	lock_release(&state.page_lock);
	inside_leave();
	return ok;
}

void large_populate(void *p, size_t bytes)
{
	const struct layout_span *span = heap_span_of(p);
	if (span->kind == SPAN_LARGE && span->flags & SPAN_ZERO)
		state.memory.populate(state.memory.context, heap_start_of(span),
				      bytes & ~(HEAP_PAGE_BYTES - 1));
}
