/* A program that brings its own malloc: no preload comes before the program itself. */
#include <stddef.h>

void *malloc(size_t size);

void *malloc(size_t size)
{
	static _Alignas(16) char memory[1 << 16];
	static size_t used;
	char *p = memory + used;

	used += (size + 15) & ~(size_t)15;
	return used <= sizeof(memory) ? p : NULL;
}

int main(void)
{
	return malloc(1) ? 0 : 1;
}
