/*
 * glibc: calloc of no bytes behaves as malloc(0).
 */
#include "must.h"

int main(void)
{
	void *a = calloc(hide_size(0), 8), *b = calloc(8, hide_size(0));
	MUST(a && b && a != b);
	free(a);
	free(b);
}
