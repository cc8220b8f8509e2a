/*
 * DESIGN 1, errors: likewise on another thread's.
 * expect: signal SIGABRT
 * expect: stderr heapsake: free\(\): 0x[0-9a-f]+: lies in this thread's stack; pass a pointer malloc gave
 * only: shared kept
 */
#include "must.h"

static void *thread(void *arg)
{
	char variable[64];
	free(hide(variable));
	return arg;
}

int main(void)
{
	pthread_t id;
	pthread_create(&id, NULL, thread, NULL);
	pthread_join(id, NULL);
}
