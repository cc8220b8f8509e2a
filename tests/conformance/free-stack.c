/*
 * DESIGN 1, errors: a variable on the stack is one line and abort().
 * expect: signal SIGABRT
 * expect: stderr heapsake: free\(\): 0x[0-9a-f]+: lies in this thread's stack; pass a pointer malloc gave
 * only: shared kept
 */
#include "must.h"

int main(void)
{
	char variable[64];
	free(hide(variable));
}
