/*
 * DESIGN: growth to the pool's size, and a freed range serves again: 20 x 100 MiB from 256.
 */
#include "must.h"

int main(void)
{
	const size_t n = (size_t)100 << 20;
	for (unsigned round = 0; round < 20; round++) {
		char *p = malloc(n);
		MUST(p);
		for (size_t i = 0; i < n; i += 1 << 20)
			p[i] = (char)round;
		p[n - 1] = 1;
		MUST(p[5 << 20] == (char)round);
		free(p);
	}
}
