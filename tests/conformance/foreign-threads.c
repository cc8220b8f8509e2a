/*
 * DESIGN 5: likewise in threads, whose blocks come from other arenas of glibc, next to stacks.
 */
#include "must.h"

extern void *__libc_malloc(size_t size);

static void *thread(void *arg)
{
	for (unsigned i = 0; i < 300; i++) {
		void *small = __libc_malloc(i), *large = __libc_malloc(200000 + i);
		MUST(small && large);
		free(small);
		free(large);
	}
	return arg;
}

int main(void)
{
	pthread_t ids[8];
	for (unsigned i = 0; i < 8; i++)
		MUST(pthread_create(&ids[i], NULL, thread, NULL) == 0);
	for (unsigned i = 0; i < 8; i++)
		pthread_join(ids[i], NULL);
}
