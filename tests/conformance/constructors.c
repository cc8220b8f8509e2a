/*
 * DESIGN 4.9: initfirst: what other constructors allocate is in the pool already.
 * only: shared kept
 */
#include "must.h"

static char *early;

__attribute__((constructor(101))) static void constructor(void)
{
	early = strdup("early");
}

int main(void)
{
	MUST(is_in_pool(early) && strcmp(early, "early") == 0);
	free(early);
}
