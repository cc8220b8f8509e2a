/*
 * pthread_key_create: destructors may malloc and free in every round, after ours has run too.
 */
#include <limits.h>

#include "must.h"

static pthread_key_t keys[4];
static unsigned calls;

static void destroy(void *value)
{
	free(value);
	void *p = malloc(100);
	MUST(p);
	free(p);
	calls++;
	for (unsigned i = 0; i < 4; i++)
		if (!pthread_getspecific(keys[i]))
			pthread_setspecific(keys[i], malloc(200));
}

static void *thread(void *arg)
{
	for (unsigned i = 0; i < 4; i++)
		pthread_setspecific(keys[i], malloc(50));
	return arg;
}

int main(void)
{
	for (unsigned i = 0; i < 4; i++)
		pthread_key_create(&keys[i], destroy);
	for (unsigned i = 0; i < 20; i++) {
		pthread_t id;
		pthread_create(&id, NULL, thread, NULL);
		pthread_join(id, NULL);
	}
	MUST(calls >= 20 * 4 * PTHREAD_DESTRUCTOR_ITERATIONS);
}
