/* Levenshtein's distance, one row at a time, on the stack: it is asked before malloc works. */
#include "spelling.h"

#include <string.h>

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
	unsigned ab = a < b ? a : b;

	return ab < c ? ab : c;
}

unsigned spelling_distance(const char *a, size_t a_len, const char *b)
{
	unsigned row[SPELLING_MAX];
	size_t b_len = strlen(b);

	if (a_len >= SPELLING_MAX || b_len >= SPELLING_MAX)
		return SPELLING_MAX;
	for (unsigned j = 0; j <= b_len; j++)
		row[j] = j;
	for (unsigned i = 1; i <= a_len; i++) {
		unsigned diagonal = row[0];
		row[0] = i;
		for (unsigned j = 1; j <= b_len; j++) {
			unsigned above = row[j];
			row[j] = min3(above + 1, row[j - 1] + 1,
				      diagonal + (a[i - 1] != b[j - 1]));
			diagonal = above;
		}
	}
	return row[b_len];
}
