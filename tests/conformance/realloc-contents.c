/*
 * C11 7.22.3.5: contents are kept up to the lesser of the sizes, growing and shrinking.
 */
#include "must.h"

int main(void)
{
	size_t n = 1;
	char *p = malloc(n);
	fill(p, n, 9);
	for (unsigned i = 0; i < 400; i++) {
		size_t next = (size_t)(i * 7919u) % 900 * (i % 5 == 0 ? 9000 : 11) + 1;
		p = realloc(p, next);
		MUST(p && is_filled(p, n < next ? n : next, 9));
		n = next;
		fill(p, n, 9);
	}
	free(p);
}
