/*
 * C17 7.22.3.1: an alignment that is no power of two fails; EINVAL. (glibc 2.36 still takes it.)
 * only: shared kept
 */
#include "must.h"

int main(void)
{
	const size_t bad[] = {0, 3, 24, 4095, SIZE_MAX};
	for (unsigned i = 0; i < 5; i++) {
		errno = 0;
		MUST(aligned_alloc(hide_size(bad[i]), 64) == NULL && errno == EINVAL);
	}
}
