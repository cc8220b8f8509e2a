/*
 * C11 7.22.3 and glibc: malloc(0) returns a unique pointer that can be freed.
 */
#include "must.h"

int main(void)
{
	char *a = malloc(hide_size(0)), *b = malloc(hide_size(0));
	MUST(a && b && a != b);
	free(a);
	free(b);
}
