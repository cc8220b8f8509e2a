/*
 * DESIGN 5: threads still allocate while exit runs.
 *
 * late: they never wait, so on a machine with far more to do than it can they do not all stop in time
 */
#include "must.h"

static void *thread(void *arg)
{
	for (;;) {
		void *p = malloc(rand() % 3000), *q = malloc(100000);
		free(p);
		free(q);
	}
	return arg;
}

int main(void)
{
	pthread_t id;
	for (unsigned i = 0; i < 4; i++)
		MUST(pthread_create(&id, NULL, thread, NULL) == 0);
	usleep(20000);
	return 0;
}
