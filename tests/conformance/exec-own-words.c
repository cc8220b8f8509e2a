/*
 * The owner execs a program and says itself what becomes of it: any HEAPSAKE_ variable in the
 * environment handed over, and nothing of ours is added to it.
 * expect: stdout 1 entries
 * only: shared kept
 */
#include "must.h"

int main(int argc, char **argv)
{
	char *const env[] = {strdup("HEAPSAKE_DISABLE=1"), NULL};
	int count = 0;

	if (argc == 2) {
		MUST(is_in_pool(env[0]));
		execle(argv[0], argv[0], argv[1], "second", NULL, env);
	}
	MUST(argc == 3);
	while (environ[count])
		count++;
	printf("%d entries\n", count);
}
