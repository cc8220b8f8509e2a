/*
 * A program the owner execs takes the pool along, by every member of the family, though no entry
 * of ours is in the environment (DESIGN 4.9: `sh -c 'exec redis'`); a child's exec does not.
 * expect: stdout child plain, owner in the pool
 * only: shared kept
 */
#include "must.h"

#include <fcntl.h>

static void exec_by(int way, char *self, char *library, char *next)
{
	char *argv[] = {self, library, next, NULL};
	char locale[] = "LANG=C", *envp[] = {locale, NULL};
	switch (way) {
	case 0: execl(self, self, library, next, NULL); break;
	case 1: execlp(self, self, library, next, NULL); break;
	case 2: execle(self, self, library, next, NULL, envp); break;
	case 3: execv(self, argv); break;
	case 4: execvp(self, argv); break;
	case 5: execvpe(self, argv, envp); break;
	case 6: execve(self, argv, envp); break;
	case 7: fexecve(open(self, O_RDONLY), argv, envp); break;
	case 8: execveat(AT_FDCWD, self, argv, envp, 0); break;
	}
	MUST(!"exec returned");
}

int main(int argc, char **argv)
{
	const int way = argc > 2 ? atoi(argv[2]) : 0;
	char next[12] = "-1";

	if (way == -1) {
		MUST(!is_in_pool(malloc(100)));
		printf("child plain, ");
		return 0;
	}
	MUST(argc >= 2 && is_in_pool(malloc(100)));
	MUST(!getenv("HEAPSAKE_POOL") && !getenv("LD_PRELOAD"));
	if (way == 9) {
		pid_t pid = vfork();
		if (pid == 0)
			exec_by(3, argv[0], argv[1], next);
		MUST(child_status(pid) == 0);
		puts("owner in the pool");
		return 0;
	}
	snprintf(next, sizeof(next), "%d", way + 1);
	exec_by(way, argv[0], argv[1], next);
}
