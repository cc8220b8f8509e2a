/*
 * The owner execs: the lock goes with the old program, the new one has the pool again (inherit),
 * or runs without (volatile, the default).
 * expect: stdout second
 * with: HEAPSAKE_CHILDREN=inherit
 * only: shared kept
 */
#include "must.h"

int main(int argc, char **argv)
{
	void *p = malloc(100);
	MUST(is_in_pool(p) && argc >= 2);
	if (argc == 2)
		execl(argv[0], argv[0], argv[1], "second", NULL);
	MUST(argc == 3);
	puts(argv[2]);
}
