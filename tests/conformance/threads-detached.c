/*
 * Detached threads end whenever they like; what they freed and what they left is accounted for.
 */
#include <stdatomic.h>

#include "must.h"

static atomic_uint running;
static _Atomic(void *) left[200];

static void *thread(void *arg)
{
	free(malloc(100));
	left[(uintptr_t)arg] = malloc(1000);
	running--;
	return NULL;
}

int main(void)
{
	pthread_attr_t attr;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	for (uintptr_t i = 0; i < 200; i++) {
		pthread_t id;
		while (running > 20)
			usleep(100);
		running++;
		MUST(pthread_create(&id, &attr, thread, (void *)i) == 0);
	}
	while (running)
		usleep(100);
	for (unsigned i = 0; i < 200; i++) {
		MUST(left[i]);
		free(left[i]);
	}
}
