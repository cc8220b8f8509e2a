/*
 * DESIGN 1, errors: realloc of a freed block is one line and abort().
 * expect: signal SIGABRT
 * expect: stderr heapsake: realloc\(\): 0x[0-9a-f]+: .*freed twice\?.*
 * only: shared kept
 */
#include "must.h"

int main(void)
{
	void *p = malloc(40);
	free(p);
	free(realloc(hide(p), 50));
}
