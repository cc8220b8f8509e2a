/*
 * DESIGN 4.9: initfirst: what other constructors allocate is in the pool already, and a variable they
 * set stays the only thing that is new in the environment.
 * only: shared kept
 */
#include "must.h"

static char *early;

__attribute__((constructor(101))) static void constructor(void)
{
	early = strdup("early");
	setenv("EARLY", "1", 1);
}

int main(void)
{
	MUST(is_in_pool(early) && strcmp(early, "early") == 0);
	free(early);
	for (char **word = environ; *word; word++)
		MUST(strchr(*word, '='));
}
