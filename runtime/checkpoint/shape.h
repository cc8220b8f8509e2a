/* Shape: how large the pool's spaces are, and making them larger. Room-private. */
#pragma once

#include "anchor.h"

/* shape_pool() - spaces of at least `regions_bytes` for regions' homes, of checksums beside all
 * homes, and segments of that size if it has none yet. 0: both superblocks say so; else it has
 * happened or not */
int shape_pool(struct anchor *anchor, uint64_t regions_bytes, uint64_t segment_bytes);

/* shape_forget_sums() - all pages of all regions count as zeros */
int shape_forget_sums(struct anchor *anchor);
