/*
 * Linked statically: nothing can be preloaded into it. It ends with its input.
 */
#include <stdio.h>

int main(void)
{
	puts("static");
	fflush(stdout);
	while (getchar() != EOF)
		;
	return 3;
}
