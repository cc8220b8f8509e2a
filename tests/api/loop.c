/*
 * DESIGN 1.3: the loop every introduction to persistent memory shows. Killed anywhere it goes on,
 * and the result is what it is without.
 *
 * with: HEAPSAKE_INTERVAL=1ms
 * with: HEAPSAKE_LOG=error
 * run: kill => signal SIGKILL
 * run: kill => signal SIGKILL
 * run: kill => signal SIGKILL
 * run: finish
 * inert: finish
 */
#include "step.h"

#define N 1000

HSK_KEEP static int i;
HSK_KEEP static double result;

static double calculate(int n, double so_far)
{
	usleep(100);
	return so_far + n;
}

int main(int argc, char **argv)
{
	step_begin(argc, argv);
	const int begun = i;
	MUST(result == (double)i * (i - 1) / 2);
	for (; i < N; ) HSK_TX { result = calculate(i, result); i++; if (step_is("kill") && i == begun + 300) step_kill(); }
	MUST(result == (double)N * (N - 1) / 2);
	return 0;
}
