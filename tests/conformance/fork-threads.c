/*
 * POSIX fork, glibc: in a threaded program the child may use malloc: no lock stays behind, and the
 * heap is whole.
 */
#include <stdatomic.h>

#include "must.h"

static atomic_bool is_over;

static void *thread(void *arg)
{
	for (unsigned i = 0; !is_over; i++) {
		void *p = malloc(i % 2000), *q = calloc(1, 40000 + i % 5000);
		MUST(p && q && is_zero(q, 40000));
		memset(q, 1, 40000);
		free(p);
		free(q);
	}
	return arg;
}

int main(void)
{
	pthread_t ids[3];
	for (unsigned i = 0; i < 3; i++)
		MUST(pthread_create(&ids[i], NULL, thread, NULL) == 0);
	for (unsigned round = 0; round < 100; round++) {
		const pid_t pid = fork();
		if (pid == 0) {
			alarm(30);
			for (unsigned i = 0; i < 2000; i++)
				free(malloc(i * 50));
			MUST(heap_violations() == 0);
			exit(6);
		}
		MUST(pid > 0 && child_status(pid) == 6);
	}
	is_over = true;
	for (unsigned i = 0; i < 3; i++)
		pthread_join(ids[i], NULL);
}
