/*
 * glibc: memalign rounds an odd alignment up to a power of two; one that has none is EINVAL.
 */
#include "must.h"

int main(void)
{
	for (size_t alignment = 0; alignment < 5000; alignment += 37) {
		char *p = memalign(hide_size(alignment), 100);
		size_t power = 1;
		while (power < alignment)
			power *= 2;
		MUST(p && (uintptr_t)p % power == 0);
		free(p);
	}
	errno = 0;
	MUST(memalign(hide_size(SIZE_MAX / 2 + 2), 1) == NULL && errno == EINVAL);
	errno = 0;
	MUST(memalign(hide_size(SIZE_MAX / 2 + 1), 1) == NULL && errno == ENOMEM);
}
