/*
 * DESIGN 1, errors: the heap's own first bytes are no block.
 * expect: signal SIGABRT
 * expect: stderr heapsake: free\(\): 0x200000000000: .*
 * only: shared kept
 */
#include "must.h"

int main(void)
{
	free(hide((void *)(uintptr_t)0x200000000000));
}
