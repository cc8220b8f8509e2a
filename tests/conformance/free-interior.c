/*
 * DESIGN 1, errors: a pointer into a block is one line and abort().
 * expect: signal SIGABRT
 * expect: stderr heapsake: free\(\): 0x[0-9a-f]+: points 16 bytes into a block of .*
 * only: shared kept
 */
#include "must.h"

int main(void)
{
	char *p = malloc(100);
	free(hide(p + 16));
}
