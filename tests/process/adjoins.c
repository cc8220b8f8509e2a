/*
 * What a program maps right behind the .bss of the library that keeps it, or right before and behind
 * its heap, is the program's, though it may be one mapping with them to the kernel, and one run of
 * written pages with the heap's first.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define LEN 16384
#define HEAP 0x200000000000

/* The first address that nobody has behind what begins there; 0: behind the library. */
static uintptr_t find_end(uintptr_t behind)
{
	char line[512], *dash;
	const bool is_library = !behind;
	FILE *maps = fopen("/proc/self/maps", "r");

	while (fgets(line, sizeof(line), maps)) {
		const uintptr_t start = strtoul(line, &dash, 16), end = strtoul(dash + 1, NULL, 16);
		if ((is_library && strstr(line, "/libheapsake")) || (behind == start && !strchr(line, '/')))
			behind = end;
	}
	fclose(maps);
	return behind;
}

static char *map(uintptr_t start)
{
	char *made = mmap((void *)start, LEN, PROT_READ | PROT_WRITE, /* NOLINT */
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (made == MAP_FAILED)
		printf("adjoins: there is no room at %#lx\n", (unsigned long)start);
	return made == MAP_FAILED ? NULL : made;
}

static bool is_filled(const char *bytes, char with)
{
	for (size_t i = 0; bytes && i < LEN; i++)
		if (bytes[i] != with)
			return false;
	return true;
}

int main(void)
{
	char line[16];

	setvbuf(stdout, NULL, _IOLBF, 0);
	char *adjoining[] = {map(find_end(0)), map(HEAP - LEN), map(find_end(HEAP))};
	for (int i = 1; i < 8; i++) {
		/* As soon as it has come back: all of the heap counts as written, too. */
		for (int k = 0; k < 3; k++)
			if (adjoining[k] && (k == 0 || munmap(adjoining[k], LEN) == 0))
				memset(k ? map((uintptr_t)adjoining[k]) : adjoining[k], i, LEN);
		puts("kill");
		if (!fgets(line, sizeof(line), stdin) || strcmp(line, "go on\n") != 0)
			return 1;
		for (int k = 0; k < 3; k++)
			if (!is_filled(adjoining[k], (char)i))
				return printf("adjoins: round %d, %p is lost\n", i, (void *)adjoining[k]) > 0;
	}
	return 0;
}
