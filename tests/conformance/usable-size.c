/*
 * malloc_usable_size(3): at least what was asked for, 0 for NULL; all of it may be used.
 */
#include "must.h"

int main(void)
{
	char *blocks[200];
	size_t sizes[200];
	MUST(malloc_usable_size(hide(NULL)) == 0);
	for (unsigned i = 0; i < 200; i++) {
		const size_t n = (size_t)i * i * i / 40;
		MUST((blocks[i] = malloc(n)));
		sizes[i] = malloc_usable_size(blocks[i]);
		MUST(sizes[i] >= n);
		fill(blocks[i], sizes[i], i);
	}
	for (unsigned i = 0; i < 200; i++) {
		MUST(is_filled(blocks[i], sizes[i], i));
		free(blocks[i]);
	}
}
