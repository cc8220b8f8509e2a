/*
 * mallopt(3): 1 is success; DESIGN: accepted, whatever it asks.
 */
#include "must.h"

int main(void)
{
	MUST(mallopt(M_MMAP_THRESHOLD, 1 << 20) == 1);
	MUST(mallopt(M_ARENA_MAX, 1) == 1);
	MUST(mallopt(M_TRIM_THRESHOLD, 0) == 1);
	free(malloc(2 << 20));
}
