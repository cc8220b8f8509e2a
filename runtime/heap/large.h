/* Large blocks: more than SIZECLASS_MAX_BYTES, or aligned to more than a page. */
#pragma once

#include "state.h"

/* align_pages: a power of two. *ret_is_zero: the block reads as zeros. */
void *large_alloc(size_t size, size_t align_pages, bool *ret_is_zero);
void large_free(struct layout_span *span);
/* large_resize() - in place; false: it must move */
bool large_resize(struct layout_span *span, size_t size);
/* large_populate() - the first `bytes` of block p, fresh from large_alloc(), will be written now */
void large_populate(void *p, size_t bytes);
