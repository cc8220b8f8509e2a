/*
 * DESIGN 1, errors: an address of the window that was never opened is one line and abort().
 * expect: signal SIGABRT
 * expect: stderr heapsake: free\(\): 0x20000f000000: lies in the pool, but was never given out; pass a pointer malloc gave
 * only: shared kept
 */
#include "must.h"

int main(void)
{
	free(hide((void *)(uintptr_t)0x20000f000000));
}
