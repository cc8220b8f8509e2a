/*
 * POSIX posix_memalign: EINVAL unless a power of two times sizeof(void *); ENOMEM is returned,
 * errno and the pointer stay as they were.
 */
#include "must.h"

int main(void)
{
	void *const before = hide(&errno);
	void *p = before;
	const size_t bad[] = {0, 1, 2, 4, 12, 24, SIZE_MAX};
	errno = 0;
	for (unsigned i = 0; i < 7; i++)
		MUST(posix_memalign(&p, hide_size(bad[i]), 8) == EINVAL);
	MUST(p == before && errno == 0);
	MUST(posix_memalign(&p, 64, hide_size(SIZE_MAX - 100)) == ENOMEM);
	MUST(p == before && errno == 0);
}
