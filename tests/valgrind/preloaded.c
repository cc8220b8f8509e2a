/*
 * An ordinary program with one fault of the caller's choice, for the preloaded library under
 * valgrind (preloaded.sh). It knows nothing of heapsake.
 */
#include <stdlib.h>
#include <string.h>

static __attribute__((noinline)) void lose(void)
{
	char *volatile p = malloc(100);
	p[0] = 'l';
	p = NULL;
}

int main(int argc, char **argv)
{
	const char *fault = argc > 1 ? argv[1] : "";
	char *volatile p = calloc(10, 10);
	if (!strcmp(fault, "lost"))
		lose();
	p = realloc(p, 5000);
	memset(p, 1, 5000);
	if (!strcmp(fault, "overrun"))
		p[5000] = 1;
	free(p);
	return !strcmp(fault, "freed") && p[8] == 5;
}
