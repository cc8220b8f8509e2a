/*
 * Preloaded beside libheapsake into a program that knows nothing of it: one root, so that the pool
 * is not emptied at its next start, and the whole heap of this run is in the image.
 */
#include <stdlib.h>

#include "heapsake.h"

static __attribute__((constructor)) void set_root(void)
{
	if (!hsk_root("unmodified"))
		hsk_set_root("unmodified", malloc(16));
}
