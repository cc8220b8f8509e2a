/* A program that brings its own malloc: no preload comes before the program itself.
 * With an argument it counts there for ever. */
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

void *malloc(size_t size);

void *malloc(size_t size)
{
	static _Alignas(16) char memory[1 << 16];
	static size_t used;
	char *p = memory + used;

	used += (size + 15) & ~(size_t)15;
	return used <= sizeof(memory) ? p : NULL;
}

void free(void *p);
void free(void *p)
{
	(void)p;
}

int main(int argc, char **argv)
{
	int *count = malloc(sizeof(*count));

	if (!count)
		return 1;
	(void)argv;
	for (*count = 0; argc > 1; ++*count) {
		char line[32];
		if (write(1, line, (size_t)snprintf(line, sizeof(line), "%d\n", *count)) < 0)
			return 1;
		usleep(5000);
	}
	return 0;
}
