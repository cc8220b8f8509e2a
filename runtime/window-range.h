/* The opened ranges of a window (window.c and tests). */
#pragma once

#include "window.h"

/* window_range_add() - note [start, end) as opened; -ENOMEM: the table is full, nothing changed */
int window_range_add(struct window *window, size_t start, size_t end);
