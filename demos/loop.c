/*
 * The loop every introduction to persistent memory shows: kill it where you like, start it again,
 * and it goes on.
 *
 * The two variables are kept, and the block is kept whole or not at all: never a result without
 * its iteration, never an iteration counted without its result. Each adds a stretch of the series
 * 4 - 4/3 + 4/5 - 4/7 ..., so one skipped or done twice would be seen in pi.
 *
 * usage: loop [ITERATIONS]
 */
#include <stdio.h>
#include <stdlib.h>

#include "heapsake.h"

#define TERMS 100000

HSK_KEEP static int i;
HSK_KEEP static double result;

static double calculate(int stretch, double so_far)
{
	for (long term = (long)stretch * TERMS; term < (long)(stretch + 1) * TERMS; term++)
		so_far += (term % 2 ? -4.0 : 4.0) / (double)(2 * term + 1);
	return so_far;
}

int main(int argc, char **argv)
{
	const int n = argc > 1 ? atoi(argv[1]) : 8000;

	printf("from iteration %d\n", i);
	fflush(stdout);
	for (; i < n;)
		HSK_TX {
			result = calculate(i, result);
			i++;
		}
	printf("%d iterations: %.15f\n", i, result);
	return 0;
}
