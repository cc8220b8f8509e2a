/*
 * DESIGN 1, errors: likewise for a block with pages of its own.
 * expect: signal SIGABRT
 * expect: stderr heapsake: free\(\): 0x[0-9a-f]+: .*freed twice\?.*
 * expect: backtrace double-free-large
 * only: shared kept
 */
#include "must.h"

int main(void)
{
	void *p = malloc(3000000);
	free(p);
	free(hide(p));
}
