/*
 * DESIGN 1, errors: likewise long after, when its neighbours came and went and it left the cache.
 * expect: signal SIGABRT
 * expect: stderr heapsake: free\(\): 0x[0-9a-f]+: .*freed twice\?.*
 * only: shared kept
 */
#include "must.h"

static void *blocks[3000];

int main(void)
{
	for (unsigned i = 0; i < 3000; i++)
		blocks[i] = malloc(100);
	for (unsigned i = 0; i < 3000; i++)
		free(blocks[i]);
	free(hide(blocks[1500]));
}
