/*
 * pthread_atfork: the program's own handlers may malloc and free, on both sides.
 */
#include "must.h"

static unsigned calls;

static void handler(void)
{
	for (size_t n = 1; n < 5000000; n *= 3)
		free(malloc(n));
	calls++;
}

int main(void)
{
	MUST(pthread_atfork(handler, handler, handler) == 0);
	for (unsigned i = 1; i <= 20; i++) {
		const pid_t pid = fork();
		if (pid == 0)
			exit(calls == 2 * i ? 3 : 1);
		MUST(child_status(pid) == 3 && calls == 2 * i);
	}
}
