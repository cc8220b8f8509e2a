/*
 * DESIGN 5, raw clone: clone() without CLONE_VM and _Fork() run no atfork handlers; what their
 * children store reaches neither the parent nor the file.
 */
#include <sched.h>
#include <signal.h>

#include "must.h"

pid_t _Fork(void);

static int child(void *arg)
{
	strcpy(arg, "child");
	for (unsigned i = 0; i < 1000; i++)
		free(malloc(i * 100));
	memset(calloc(1, 60000000), 1, 60000000);
	exit(4);
}

int main(void)
{
	char *p = strdup("parent"), *stack = malloc(1 << 18);
	pid_t pid = clone(child, stack + (1 << 18), SIGCHLD, p);
	MUST(pid > 0 && child_status(pid) == 4 && strcmp(p, "parent") == 0);
	pid = _Fork();
	if (pid == 0)
		child(p);
	MUST(pid > 0 && child_status(pid) == 4 && strcmp(p, "parent") == 0);
	char *q = calloc(1, 60000000);
	MUST(q && is_zero(q, 60000000));
}
