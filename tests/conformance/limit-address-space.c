/*
 * DESIGN 5: under a small RLIMIT_AS the window is smaller; malloc works, then says ENOMEM.
 * expect: stderr heapsake: .*
 * limit: AS=1500000000
 * with: HEAPSAKE_SIZE=64G
 * only: shared kept
 */
#include "must.h"

int main(void)
{
	size_t total = 0;
	while (malloc(1 << 20))
		total += 1 << 20;
	MUST(errno == ENOMEM && total >= 64 << 20);
}
