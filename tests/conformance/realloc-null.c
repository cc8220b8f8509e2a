/*
 * C11 7.22.3.5: realloc(NULL, n) is malloc(n).
 */
#include "must.h"

int main(void)
{
	char *p = realloc(hide(NULL), 100);
	MUST(p && malloc_usable_size(p) >= 100);
	fill(p, 100, 1);
	MUST(is_filled(p, 100, 1));
	free(p);
}
