/*
 * C11 7.22.3.2: the space is all bits zero, also when it is not fresh.
 */
#include "must.h"

int main(void)
{
	for (size_t n = 1; n < 8000000; n = n * 2 + 1) {
		void *dirty[3];
		for (unsigned i = 0; i < 3; i++) {
			MUST((dirty[i] = malloc(n)));
			memset(dirty[i], 0xff, n);
		}
		for (unsigned i = 0; i < 3; i++)
			free(dirty[i]);
		for (unsigned i = 0; i < 3; i++) {
			MUST((dirty[i] = calloc(n, 1)));
			MUST(is_zero(dirty[i], n));
		}
		for (unsigned i = 0; i < 3; i++)
			free(dirty[i]);
	}
}
