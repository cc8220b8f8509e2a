/*
 * POSIX posix_memalign: returns 0 and an aligned block that free() takes; errno is left alone.
 */
#include "must.h"

int main(void)
{
	errno = 99;
	for (size_t alignment = sizeof(void *); alignment <= 1 << 20; alignment *= 2)
		for (size_t n = 0; n < 70000; n = n * 3 + 1) {
			void *p = NULL;
			MUST(posix_memalign(&p, alignment, n) == 0);
			MUST(p && (uintptr_t)p % alignment == 0);
			fill(p, n, 1);
			free(p);
		}
	MUST(errno == 99);
}
