/*
 * DESIGN 1, errors: likewise into a large one.
 * expect: signal SIGABRT
 * expect: stderr heapsake: free\(\): 0x[0-9a-f]+: .*pass the pointer malloc gave
 * only: shared kept
 */
#include "must.h"

int main(void)
{
	char *p = malloc(1000000);
	free(hide(p + 65536));
}
