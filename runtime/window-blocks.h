/* The blocks of the pool file behind a shared window (window.c). */
#pragma once

#include "window.h"

/* window_blocks_unit() - how many bytes of this file get or lose their blocks together */
size_t window_blocks_unit(int fd);

/* window_blocks_take() - blocks behind [offset, offset+len): no store there can fail. -errno: no
 * page that is in use has lost any. */
int window_blocks_take(struct window *window, size_t offset, size_t len);

/* window_blocks_give() - the range reads as zeros, and what of it can be given back is */
int window_blocks_give(struct window *window, size_t offset, size_t len);
