/*
 * sigaltstack in heap memory: a handler there may free, also what lies outside the pool.
 */
#include <signal.h>

#include "must.h"

extern void *__libc_malloc(size_t size);

static void handler(int signal)
{
	free(__libc_malloc(100));
	free(malloc((size_t)signal * 1000));
}

int main(void)
{
	const stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536};
	struct sigaction action = {.sa_handler = handler, .sa_flags = SA_ONSTACK};
	MUST(sigaltstack(&stack, NULL) == 0 && sigaction(SIGUSR1, &action, NULL) == 0);
	for (unsigned i = 0; i < 100; i++)
		MUST(raise(SIGUSR1) == 0);
}
