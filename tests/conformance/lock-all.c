/*
 * DESIGN 5: mlockall(MCL_CURRENT | MCL_FUTURE) locks what is open, not the window of 64 GiB, and
 * the heap grows afterwards.
 * with: HEAPSAKE_SIZE=64G
 */
#include <sys/mman.h>

#include "must.h"

int main(void)
{
	if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0) {
		printf("mlockall: %s\n", strerror(errno));
		return 77;
	}
	for (size_t n = 100; n < 20000000; n *= 3) {
		char *p = malloc(n);
		MUST(p);
		fill(p, n, 1);
		MUST(is_filled(p, n, 1));
		free(p);
	}
}
