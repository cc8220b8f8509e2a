/*
 * DESIGN, keep=none: the heap is in the pool, libc's own allocations too.
 * only: shared kept
 */
#include "must.h"

int main(void)
{
	char *line = NULL, *print = NULL;
	size_t room = 0;
	FILE *file = fopen("/proc/self/maps", "r");
	MUST(file && getline(&line, &room, file) > 0 && asprintf(&print, "%d", 5) == 1);
	MUST(is_in_pool(line) && is_in_pool(print) && is_in_pool(file));
	MUST(is_in_pool(malloc(1)) && is_in_pool(malloc(10 << 20)) && is_in_pool(strdup("x")));
	MUST(is_in_pool(realpath("/", NULL)) && is_in_pool(valloc(1)));
	fclose(file);
	free(line);
	free(print);
}
