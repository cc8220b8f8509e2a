/*
 * glibc manual: a request over PTRDIFF_MAX fails with ENOMEM. DESIGN: without a warning.
 */
#include "must.h"

int main(void)
{
	const size_t sizes[] = {(size_t)PTRDIFF_MAX + 1, SIZE_MAX, SIZE_MAX - 4096, SIZE_MAX - 15};
	for (unsigned i = 0; i < 4; i++) {
		const size_t n = hide_size(sizes[i]);
		errno = 0;
		MUST(malloc(n) == NULL && errno == ENOMEM);
		errno = 0;
		MUST(calloc(1, n) == NULL && errno == ENOMEM);
		errno = 0;
		MUST(realloc(NULL, n) == NULL && errno == ENOMEM);
		errno = 0;
		MUST(memalign(64, n) == NULL && errno == ENOMEM);
		errno = 0;
		MUST(valloc(n) == NULL && errno == ENOMEM);
		errno = 0;
		MUST(pvalloc(n) == NULL && errno == ENOMEM);
	}
}
