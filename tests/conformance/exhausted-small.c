/*
 * DESIGN 2.6: the same with small blocks, by malloc, calloc, realloc and memalign alike.
 * expect: stderr heapsake: /\S+/test.pool: full: .*; set a larger HEAPSAKE_SIZE
 * with: HEAPSAKE_SIZE=32M
 * only: shared kept
 */
#include "must.h"

int main(void)
{
	void **list = NULL, **block;
	while ((block = malloc(48))) {
		*block = list;
		list = block;
	}
	errno = 0;
	while (malloc(20000))
		;
	MUST(errno == ENOMEM);
	errno = 0;
	MUST(calloc(100, 1000) == NULL && errno == ENOMEM);
	errno = 0;
	MUST(memalign(4096, 100000) == NULL && errno == ENOMEM);
	errno = 0;
	MUST(realloc(list, 100000) == NULL && errno == ENOMEM);
	for (; list; list = block) {
		block = *list;
		free(list);
	}
	void *p = malloc(500000);
	MUST(p);
	free(p);
}
