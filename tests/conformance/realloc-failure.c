/*
 * C11 7.22.3.5: when realloc fails the old object is neither freed nor changed.
 */
#include "must.h"

int main(void)
{
	for (size_t n = 10; n < 1000000; n *= 10) {
		char *p = malloc(n);
		fill(p, n, 3);
		errno = 0;
		MUST(realloc(p, hide_size(PTRDIFF_MAX)) == NULL && errno == ENOMEM);
		errno = 0;
		MUST(realloc(p, hide_size(SIZE_MAX)) == NULL && errno == ENOMEM);
		MUST(is_filled(p, n, 3));
		free(p);
	}
}
