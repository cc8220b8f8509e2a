/*
 * C17 7.22.3.1: aligned_alloc, any power of two, and any size; DESIGN: from the pool.
 */
#include "must.h"

int main(void)
{
	for (size_t alignment = 1; alignment <= 4 << 20; alignment *= 2)
		for (size_t n = 0; n < 300000; n = n * 5 + 1) {
			char *p = aligned_alloc(alignment, n), *q = aligned_alloc(alignment, n);
			MUST(p && q && p != q);
			MUST(((uintptr_t)p | (uintptr_t)q) % alignment == 0);
			MUST(malloc_usable_size(p) >= n);
			fill(p, n, 1);
			fill(q, n, 2);
			MUST(is_filled(p, n, 1));
			free(p);
			free(q);
		}
}
