/*
 * glibc manual: reallocarray(p, n, size) is realloc(p, n * size), but fails with ENOMEM when the
 * product overflows, and leaves p alone.
 */
#include "must.h"

int main(void)
{
	char *p = reallocarray(NULL, 10, 20);
	MUST(p);
	fill(p, 200, 5);
	errno = 0;
	MUST(reallocarray(p, hide_size(SIZE_MAX / 2), 3) == NULL && errno == ENOMEM);
	MUST(is_filled(p, 200, 5));
	p = reallocarray(p, 100, 20);
	MUST(p && is_filled(p, 200, 5));
	MUST(reallocarray(p, hide_size(0), 20) == NULL);
}
