/*
 * Spans: the heap's pages, handed out in runs. Everything here wants the page lock held.
 */
#pragma once

#include <stdbool.h>

#include "state.h"

/* span_new() - page_count pages, the first aligned to align_pages (a power of two); NULL: no
 * memory. flags has SPAN_ZERO if they read as zeros. The caller fills in the slots and, for a
 * slab, the pagemap. */
struct layout_span *span_new(uint32_t page_count, uint32_t align_pages, enum span_kind kind);

/* span_release() - a used span becomes free and dirty; may give old dirty ones back */
void span_release(struct layout_span *span);

/* span_extend() - a LARGE span grows in place into free neighbours; false: it cannot */
bool span_extend(struct layout_span *span, uint32_t page_count);
/* span_shrink() - a LARGE span gives its tail back */
void span_shrink(struct layout_span *span, uint32_t page_count);

/* span_purge_all() - give all dirty pages back; true if there were any */
bool span_purge_all(void);

/* Set every page's entry, so that a pointer into the middle finds its span. */
void span_map_pages(const struct layout_span *span, uint32_t id);
