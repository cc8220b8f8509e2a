/*
 * HEAPSAKE_STATS: also of programs that close stderr before the end, as coreutils do.
 * expect: stderr heapsake: stats: .*
 * with: HEAPSAKE_STATS=1
 * only: shared kept
 */
#include "must.h"

static void handler(void)
{
	fclose(stderr);
}

int main(void)
{
	atexit(handler);
}
