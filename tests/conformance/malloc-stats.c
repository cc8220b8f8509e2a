/*
 * malloc_stats(3): figures on stderr.
 * expect: stderr heapsake: stats: live \d+ KiB in \d+ blocks, of them \d+ KiB in 1 large; cached .*
 * only: shared kept
 */
#include "must.h"

int main(void)
{
	void *p = malloc(100000);
	MUST(p);
	malloc_stats();
	free(p);
}
