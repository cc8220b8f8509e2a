/*
 * What a program maps right behind the .bss of the library that keeps it is the program's, though it
 * is one mapping with that .bss to the kernel.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define LEN 16384

/* The first address behind the library that nobody has. */
static uintptr_t find_end(void)
{
	char line[512], *dash;
	FILE *maps = fopen("/proc/self/maps", "r");
	uintptr_t behind = 0;

	while (fgets(line, sizeof(line), maps)) {
		const uintptr_t start = strtoul(line, &dash, 16), end = strtoul(dash + 1, NULL, 16);
		if (strstr(line, "/libheapsake") || (behind == start && !strchr(line, '/')))
			behind = end;
	}
	fclose(maps);
	return behind;
}

static bool is_filled(const char *bytes, char with)
{
	for (size_t i = 0; i < LEN; i++)
		if (bytes[i] != with)
			return false;
	return true;
}

int main(void)
{
	char line[16];
	const uintptr_t end = find_end();
	char *adjoining = mmap((void *)end, LEN, PROT_READ | PROT_WRITE, /* NOLINT */
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (adjoining == MAP_FAILED) {
		puts("adjoins: there is no room behind it");
		return 0;
	}
	for (int i = 1; i < 4; i++) {
		memset(adjoining, i, LEN);
		puts("kill");
		if (!fgets(line, sizeof(line), stdin) || strcmp(line, "go on\n") != 0 ||
		    !is_filled(adjoining, (char)i))
			return 1;
	}
	return 0;
}
