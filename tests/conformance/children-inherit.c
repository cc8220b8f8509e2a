/*
 * DESIGN 1.2: HEAPSAKE_CHILDREN=inherit with %p in the pool's path: each process has its own pool,
 * by spawn and by fork and exec, children of children too.
 * with: HEAPSAKE_CHILDREN=inherit
 * only: shared kept
 */
#include <spawn.h>

#include "must.h"

/* This process's pool is the one that bears its pid. */
static void must_have_own_pool(const char *pattern)
{
	char path[4096];
	const size_t prefix = strlen(pattern) - strlen("%p");
	MUST(snprintf(path, sizeof(path), "%.*s%d", (int)prefix, pattern, getpid()) > 0);
	MUST(access(path, F_OK) == 0);
	void *p = malloc(100);
	MUST(is_in_pool(p));
	free(p);
}

static void spawn(char **argv)
{
	pid_t pid;
	MUST(posix_spawn(&pid, argv[0], NULL, NULL, argv, environ) == 0);
	MUST(child_status(pid) == 0);
}

int main(int argc, char **argv)
{
	char pattern[4096], depth[2] = {argc > 2 ? (char)(argv[2][0] - 1) : '2'};
	char *child_argv[] = {argv[0], argv[1], depth, NULL};

	snprintf(pattern, sizeof(pattern), "%s.%%p", argv[1]);
	if (argc > 2)
		must_have_own_pool(pattern);
	else
		MUST(setenv("HEAPSAKE_POOL", pattern, 1) == 0);
	if (argc > 2 && argv[2][0] == '0')
		return 0;
	spawn(child_argv);
	const pid_t pid = fork();
	if (pid == 0)
		_exit(execv(argv[0], child_argv));
	MUST(child_status(pid) == 0);
}
