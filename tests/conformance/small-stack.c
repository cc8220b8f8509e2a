/*
 * PTHREAD_STACK_MIN: the whole family works on 16 KiB of stack, growth and fork included.
 */
#include <sys/mman.h>

#include "must.h"

extern void *__libc_malloc(size_t size);

static void *thread(void *arg)
{
	for (size_t n = 1; n < 30000000; n = n * 3 + 1) {
		char *p = malloc(n), *q = calloc(n, 2), *r = memalign(8192, n);
		MUST(p && q && r && (p = realloc(p, n * 2)));
		free(p);
		free(q);
		free(r);
	}
	free(__libc_malloc(100));
	malloc_trim(0);
	const pid_t pid = fork();
	if (pid == 0)
		_exit(malloc(100) ? 2 : 1);
	MUST(child_status(pid) == 2);
	return arg;
}

int main(void)
{
	pthread_attr_t attr;
	pthread_t id;
	char *stack = mmap(NULL, 20480, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(mprotect(stack, 4096, PROT_NONE) == 0);
	pthread_attr_init(&attr);
	MUST(pthread_attr_setstack(&attr, stack + 4096, 16384) == 0);
	MUST(pthread_create(&id, &attr, thread, NULL) == 0);
	pthread_join(id, NULL);
}
