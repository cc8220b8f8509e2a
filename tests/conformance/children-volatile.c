/*
 * DESIGN 1.2: HEAPSAKE_CHILDREN=volatile, the default: children run as if we were not there.
 * expect: stdout children: none
 */
#include "must.h"

extern char **environ;

int main(void)
{
	if (getenv("HEAPSAKE_POOL") == NULL)
		for (char **e = environ; *e; e++)
			MUST(strncmp(*e, "HEAPSAKE_", 9) != 0);
	return system("env | grep -q -e ^HEAPSAKE_ || echo children: none");
}
