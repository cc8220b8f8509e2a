/*
 * STYLE, rules of preloaded code: errno survives every successful call; POSIX.1-2024: free().
 */
#include "must.h"

int main(void)
{
	errno = 4711;
	for (size_t n = 1; n < 40000000; n = n * 3 + 1) {
		void *a = malloc(n), *b = calloc(n, 1), *c = memalign(4096, n), *d = NULL;
		MUST(posix_memalign(&d, 64, n) == 0);
		a = realloc(a, n * 2);
		MUST(a && b && c && d && errno == 4711);
		free(a);
		free(b);
		free(c);
		free(d);
		MUST(errno == 4711);
	}
	malloc_trim(0);
	MUST(errno == 4711);
}
