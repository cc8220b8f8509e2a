/*
 * malloc_trim(3): 1 when memory was given back, 0 when there was none to give.
 * only: shared kept
 */
#include "must.h"

static char *blocks[2000];

int main(void)
{
	for (unsigned i = 0; i < 2000; i++)
		memset(blocks[i] = malloc(10000), 1, 10000);
	for (unsigned i = 0; i < 2000; i++)
		free(blocks[i]);
	MUST(malloc_trim(0) == 1);
	MUST(malloc_trim(0) == 0);
	char *p = calloc(1, 10000);
	MUST(p && is_zero(p, 10000));
	free(p);
}
