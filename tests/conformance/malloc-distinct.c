/*
 * C11 7.22.3: each allocation yields an object disjoint from any other.
 */
#include "must.h"

#define COUNT 4000
static void *blocks[COUNT];
static size_t sizes[COUNT];

int main(void)
{
	for (unsigned i = 0; i < COUNT; i++) {
		sizes[i] = (size_t)i * i % 5003 + (i % 97 == 0 ? 50000 : 0);
		MUST((blocks[i] = malloc(sizes[i])));
		fill(blocks[i], sizes[i], i);
	}
	for (unsigned i = 0; i < COUNT; i++) {
		MUST(is_filled(blocks[i], sizes[i], i));
		free(blocks[i]);
	}
}
