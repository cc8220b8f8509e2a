/* Counts into two files: the one it was given as stdout, and one it opens by itself. Both hold each
 * line once, however often it was killed. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINES 4000
#define TABLE (1 << 20)

int main(void)
{
	FILE *own = fopen("own", "w");
	uint32_t *table = calloc(TABLE, sizeof(*table));
	uint32_t x = 1;

	if (!own || !table)
		return 1;
	for (int line = 0; line < LINES; line++) {
		for (int i = 0; i < 40000; i++) {
			x = x * 1664525 + 1013904223;
			table[(x >> 8) % (TABLE / 64) * 64] += x;
		}
		printf("%d %08x\n", line, x);
		if (line % 3 == 0)
			fprintf(own, "%d %08x\n", line, table[x % TABLE]);
		if (line % 100 == 0 && (fflush(stdout) || fflush(own)))
			return 1;
	}
	return fclose(own) || fclose(stdout);
}
