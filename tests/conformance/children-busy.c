/*
 * HEAPSAKE_CHILDREN=inherit without %p: a child that wants the same pool is refused, 3.
 * expect: stderr heapsake: refused: /\S+/test.pool: .*\d+.*
 * with: HEAPSAKE_CHILDREN=inherit
 * only: shared kept
 */
#include <spawn.h>

#include "must.h"

extern char **environ;

int main(void)
{
	char *const args[] = {strdup("true"), NULL};
	pid_t pid;
	MUST(posix_spawn(&pid, "/bin/true", NULL, NULL, args, environ) == 0);
	MUST(child_status(pid) == 3);
}
