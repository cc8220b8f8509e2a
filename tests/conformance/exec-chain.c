/*
 * The owner execs again and again while epochs are taken, with an environment that takes the kernel
 * a while to copy: no successor dies of the signal that was to stop its predecessor. It is a matter
 * of chance: without committer_hold() one run in a few fails, by status -33.
 * expect: stdout arrived
 * with: HEAPSAKE_CHILDREN=inherit
 * with: HEAPSAKE_INTERVAL=3ms
 * only: shared kept
 */
#include "must.h"

#define GENERATIONS 100
#define VARIABLES 14
#define VALUE_BYTES 120000

static void make_environment(void)
{
	static char value[VALUE_BYTES];
	char name[16];

	memset(value, 'x', sizeof(value) - 1);
	for (int i = 0; i < VARIABLES; i++) {
		snprintf(name, sizeof(name), "LONG_%d", i);
		setenv(name, value, 1);
	}
}

int main(int argc, char **argv)
{
	char generation[16];
	const int number = argc > 2 ? atoi(argv[2]) : 0;
	void *p = malloc(100);

	MUST(is_in_pool(p) && argc >= 2);
	if (number == 0)
		make_environment();
	snprintf(generation, sizeof(generation), "%d", number + 1);
	if (number < GENERATIONS)
		execl(argv[0], argv[0], argv[1], generation, NULL);
	MUST(number == GENERATIONS);
	puts("arrived");
}
