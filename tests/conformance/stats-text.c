/*
 * DESIGN 1.2: HEAPSAKE_STATS=1: at exit on stderr.
 * expect: stdout output
 * expect: stderr heapsake: stats: live \d+ KiB in \d+ blocks, of them 0 KiB in 0 large; .*
 * with: HEAPSAKE_STATS=1
 * only: shared kept
 */
#include "must.h"

int main(void)
{
	puts("output");
}
