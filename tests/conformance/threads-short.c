/*
 * A thread's cache goes back when it ends: 5000 threads one after the other, memory stays level.
 * only: shared kept
 */
#include "must.h"

static void *thread(void *arg)
{
	void *blocks[64];
	for (unsigned i = 0; i < 64; i++)
		MUST((blocks[i] = malloc(i * 37)));
	for (unsigned i = 0; i < 64; i++)
		free(blocks[i]);
	return arg;
}

static void run(unsigned count)
{
	pthread_t id;
	while (count--) {
		MUST(pthread_create(&id, NULL, thread, NULL) == 0);
		pthread_join(id, NULL);
	}
}

int main(void)
{
	run(50);
	const size_t before = mallinfo2().arena;
	run(5000);
	MUST(mallinfo2().arena <= before + (1 << 20));
}
