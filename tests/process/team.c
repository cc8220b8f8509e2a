/* OpenMP: loops, reductions, tasks and critical sections of a team that lives all the time. */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>

#define SIZE (1 << 18)

static unsigned fibonacci(unsigned n)
{
	unsigned a, b;

	if (n < 12)
		return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
#pragma omp task shared(a)
	a = fibonacci(n - 1);
#pragma omp task shared(b)
	b = fibonacci(n - 2);
#pragma omp taskwait
	return a + b;
}

int main(void)
{
	unsigned *numbers = calloc(SIZE, sizeof(*numbers));
	unsigned tasks = 0, guarded = 0;

	omp_set_num_threads(4);
	for (unsigned round = 0; round < 1200; round++) {
		unsigned long sum = 0;

#pragma omp parallel for reduction(+ : sum) schedule(dynamic, 4096)
		for (unsigned i = 0; i < SIZE; i++) {
			numbers[i] = numbers[i] * 1664525 + i + round;
			sum += numbers[i] >> 16;
		}
#pragma omp parallel
		{
#pragma omp critical
			guarded += round;
#pragma omp single
			tasks += fibonacci(18);
		}
		if (round % 40 == 0)
			printf("%u %lu %u %u\n", round, sum, tasks, guarded), fflush(stdout);
	}
	free(numbers);
	return fclose(stdout);
}
