/*
 * DESIGN 5, raw clone: clone() without CLONE_VM runs no atfork handlers; what its child stores
 * reaches neither the parent nor the file, not even its control page.
 * with: HEAPSAKE_INTERVAL=0
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>

#include "must.h"

static int child(void *arg)
{
	strcpy(arg, "child");
	for (unsigned i = 0; i < 1000; i++)
		free(malloc(i * 100));
	memset(calloc(1, 60000000), 1, 60000000);
	exit(4);
}

static int modest_child(void *arg)
{
	strcpy(arg, "child");
	_exit(4);
}

/* The page with what the owner tells the world, or zeros without a pool. */
static void read_control(const char *path, char ret_page[4096])
{
	const int fd = open(path, O_RDONLY);
	memset(ret_page, 0, 4096);
	if (fd >= 0) {
		MUST(pread(fd, ret_page, 4096, 8192) == 4096);
		close(fd);
	}
}

int main(int argc, char **argv)
{
	char before[4096], after[4096];
	MUST(argc == 2);
	char *p = strdup("parent"), *stack = malloc(1 << 18);
	pid_t pid = clone(modest_child, stack + (1 << 18), SIGCHLD, p);
	MUST(pid > 0 && child_status(pid) == 4 && strcmp(p, "parent") == 0);
	read_control(argv[1], before); /* from here on the heap is private, and that is written */
	pid = clone(child, stack + (1 << 18), SIGCHLD, p);
	MUST(pid > 0 && child_status(pid) == 4 && strcmp(p, "parent") == 0);
	read_control(argv[1], after);
	MUST(memcmp(before, after, 4096) == 0);
	char *q = calloc(1, 60000000);
	MUST(q && is_zero(q, 60000000));
}
