/*
 * glibc: realloc(p, 0) frees p and returns NULL; errno says nothing. 4 GB pass through 256 MiB.
 */
#include "must.h"

int main(void)
{
	errno = 17;
	for (unsigned i = 0; i < 4000; i++)
		MUST(realloc(malloc(1 << 20), hide_size(0)) == NULL);
	for (unsigned i = 0; i < 1000000; i++)
		MUST(realloc(malloc(1000), hide_size(0)) == NULL);
	MUST(errno == 17);
}
