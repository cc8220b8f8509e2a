/* libheapsake.so: the pool file itself is the heap (keep=none). */
#include "preload.h"

const enum window_kind choice_window_kind = WINDOW_SHARED;
void (*const choice_verify)(void) = NULL;
