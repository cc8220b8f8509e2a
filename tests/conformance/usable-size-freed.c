/*
 * DESIGN 1, errors: malloc_usable_size of a freed block is one line and abort().
 * expect: signal SIGABRT
 * expect: stderr heapsake: malloc_usable_size\(\): 0x[0-9a-f]+: .*
 * only: shared kept
 */
#include "must.h"

int main(void)
{
	void *p = malloc(40);
	free(p);
	return (int)malloc_usable_size(hide(p));
}
