/*
 * DESIGN 1, errors: a string of libc's is one line and abort(), also from realloc.
 * expect: signal SIGABRT
 * expect: stderr heapsake: realloc\(\): 0x[0-9a-f]+: lies in the image of libc.so.6; pass a pointer malloc gave
 * only: shared kept
 */
#include "must.h"

int main(void)
{
	free(realloc(hide(strerror(ENOENT)), 100));
}
