/*
 * DESIGN 1, errors: a variable of the program is one line and abort().
 * expect: signal SIGABRT
 * expect: stderr heapsake: free\(\): 0x[0-9a-f]+: lies in the image of .*free-global; pass a pointer malloc gave
 * only: shared kept
 */
#include "must.h"

static char variable[64];

int main(void)
{
	free(hide(variable));
}
