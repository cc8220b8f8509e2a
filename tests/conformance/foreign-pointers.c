/*
 * DESIGN 5: blocks of glibc's own heap are taken back by free and realloc, and sized.
 */
#include "must.h"

extern void *__libc_malloc(size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

int main(void)
{
	for (size_t n = 1; n < 3000000; n = n * 3 + 1) {
		char *p = __libc_malloc(n), *q = __libc_memalign(4096, n);
		MUST(p && q && !is_in_pool(p));
		MUST(malloc_usable_size(p) >= n);
		fill(p, n, 4);
		p = realloc(p, n + 500);
		MUST(p && is_filled(p, n, 4));
		free(p);
		free(q);
	}
}
