/*
 * glibc manual: valloc is page-aligned; pvalloc too, and of whole pages.
 */
#include "must.h"

int main(void)
{
	for (size_t n = 1; n < 1000000; n = n * 7 + 1) {
		char *p = valloc(n), *q = pvalloc(n);
		MUST(p && q && ((uintptr_t)p | (uintptr_t)q) % 4096 == 0);
		const size_t pages = (n + 4095) / 4096 * 4096;
		MUST(malloc_usable_size(p) >= n && malloc_usable_size(q) >= pages);
		memset(q, 1, pages);
		free(p);
		free(q);
	}
	void *p = pvalloc(0), *q = valloc(0);
	MUST(p && q);
	free(p);
	free(q);
}
