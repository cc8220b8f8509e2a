/*
 * madvise(2): pages that are given back by MADV_DONTNEED are zeros, where the heap is a file too.
 */
#include "must.h"

#include <sys/mman.h>

#define PAGE 4096
#define BYTES (16 * PAGE)

int main(void)
{
	char *p = aligned_alloc(PAGE, BYTES);

	MUST(p);
	memset(p, 1, BYTES);
	MUST(madvise(p + PAGE, 4 * PAGE - 1, MADV_DONTNEED) == 0);
	MUST(is_zero(p + PAGE, 4 * PAGE) && p[PAGE - 1] == 1 && p[5 * PAGE] == 1);
	p[2 * PAGE] = 1;
	MUST(madvise(p + 1, PAGE, MADV_DONTNEED) == -1 && errno == EINVAL);
	MUST(p[PAGE - 1] == 1 && p[2 * PAGE] == 1);
	free(p);
}
