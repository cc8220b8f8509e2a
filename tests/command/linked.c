/* Linked with libheapsake, as a program written for keep=heap is: prints whether addresses are
 * random (/proc/self/personality, "00040000": no), its heap's and its code's. */
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
	char line[16] = "";
	FILE *file = fopen("/proc/self/personality", "r");
	void *p = malloc(100);

	if (!file || !fgets(line, sizeof(line), file))
		return 1;
	printf("%s%p\n%p\n", line, p, (void *)main);
	fclose(file);
	free(p);
	return 0;
}
