/* A Monte-Carlo simulation: libc's own generator, floating point in registers, a histogram. */
#include <fenv.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
	long double series = 0;
	unsigned long inside = 0;
	double mean = 0, m2 = 0;
	int histogram[32] = {0};

	srandom(20);
	srand48(21);
	fesetround(FE_UPWARD);
	for (unsigned long i = 1; i <= 30000000; i++) {
		const double x = (double)random() / RAND_MAX, y = drand48();
		const double r = sqrt(x * x + y * y), delta = r - mean;

		inside += r < 1;
		mean += delta / (double)i;
		m2 += delta * (r - mean);
		series += 1.0L / ((long double)i * (long double)i);
		histogram[(int)(r * 20)]++;
		if (i % 500000 == 0) {
			printf("%lu %.17g %.17g %.17g %.20Lg\n", i, 4.0 * (double)inside / (double)i, mean,
			       sqrt(m2 / (double)i), sqrtl(6 * series));
			fflush(stdout);
		}
	}
	printf("%d rounding\n", fegetround() == FE_UPWARD);
	for (int i = 0; i < 32; i++)
		printf("%d ", histogram[i]);
	putchar('\n');
	return fclose(stdout);
}
