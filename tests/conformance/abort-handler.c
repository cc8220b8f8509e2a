/*
 * After an invalid free the heap is abandoned: a crash handler can still allocate, and free.
 * expect: status 3
 * expect: stderr heapsake: free\(\): 0x[0-9a-f]+: .*freed twice\?.*
 * only: shared kept
 */
#include <signal.h>

#include "must.h"

static void *old;

static void handler(int signal)
{
	void *p = malloc(100000);
	free(old);
	MUST(p && !is_in_pool(p) && signal == SIGABRT);
	free(p);
	_exit(3);
}

int main(void)
{
	signal(SIGABRT, handler);
	old = malloc(10);
	void *p = malloc(40);
	free(p);
	free(hide(p));
}
