/*
 * daemon(3) forks inside libc: the daemon has the heap, and can use it.
 */
#include "must.h"

int main(void)
{
	int fds[2];
	char *p = strdup("daemon"), text[8] = "";
	MUST(pipe(fds) == 0);
	const pid_t pid = fork();
	if (pid == 0) {
		MUST(daemon(1, 1) == 0);
		void *q = calloc(1, 10000000);
		MUST(q && is_zero(q, 10000000));
		_exit(write(fds[1], p, 7) == 7 ? 0 : 1);
	}
	MUST(child_status(pid) == 0);
	close(fds[1]);
	MUST(read(fds[0], text, 7) == 7 && strcmp(text, "daemon") == 0);
}
