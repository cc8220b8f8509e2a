/*
 * DESIGN 1, errors: likewise far into a window of 64 GiB, where no metadata is open either.
 * expect: signal SIGABRT
 * expect: stderr heapsake: free\(\): 0x200e00000000: lies in the pool, but was never given out; pass a pointer malloc gave
 * with: HEAPSAKE_SIZE=64G
 * only: shared kept
 */
#include "must.h"

int main(void)
{
	free(hide((void *)(uintptr_t)0x200e00000000));
}
