/*
 * mallinfo(3): uordblks counts what is in use; mallinfo is mallinfo2 in ints.
 */
#include "must.h"


int main(void)
{
	const struct mallinfo2 before = mallinfo2();
	char *p = malloc(1000000), *q = malloc(100);
	const struct mallinfo2 with = mallinfo2();
	MUST(p && q);
	MUST(with.uordblks + with.hblkhd >= before.uordblks + before.hblkhd + 1000000);
	MUST(with.arena + with.hblkhd >= 1000000);
	MUST((size_t)mallinfo().uordblks == mallinfo2().uordblks);
	free(p);
	MUST(mallinfo2().uordblks + mallinfo2().hblkhd < with.uordblks + with.hblkhd);
	free(q);
}
