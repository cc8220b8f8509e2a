/*
 * C11 7.22.3: suitably aligned for any object; DESIGN: every result is 16-byte aligned.
 */
#include "must.h"

int main(void)
{
	for (size_t n = 0; n < 300000; n += n < 5000 ? 1 : 1777) {
		void *a = malloc(n), *b = calloc(1, n), *c = realloc(malloc(3), n + 1);
		MUST(((uintptr_t)a | (uintptr_t)b | (uintptr_t)c) % 16 == 0);
		MUST(a && b && c);
		free(a);
		free(b);
		free(c);
	}
}
