/*
 * DESIGN 1, errors: a block freed twice is one line and abort(), with a backtrace.
 * expect: signal SIGABRT
 * expect: stderr heapsake: free\(\): 0x[0-9a-f]+: .*freed twice\?.*
 * expect: backtrace double-free
 * only: shared kept
 */
#include "must.h"

int main(void)
{
	void *p = malloc(40);
	free(p);
	free(hide(p));
}
