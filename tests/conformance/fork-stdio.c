/*
 * fork() while a thread flushes all streams and others read lines into fresh memory: libc's lock of
 * the streams' list and the heap's locks are taken in one order, or this never ends.
 * expect: stdout whole
 */
#include "must.h"

#include <stdatomic.h>

#define FORKS 200
#define LINE 5000

static atomic_bool is_over;
static FILE *stream;

static void *flush_all(void *unused)
{
	(void)unused;
	while (!is_over)
		fflush(NULL);
	return NULL;
}

static void *read_lines(void *unused)
{
	(void)unused;
	while (!is_over) {
		char *line = NULL;
		size_t room = 0;
		rewind(stream);
		MUST(getline(&line, &room, stream) == LINE);
		free(line);
	}
	return NULL;
}

int main(void)
{
	pthread_t threads[3];
	MUST((stream = tmpfile()) != NULL);
	for (int i = 0; i < 40; i++)
		MUST(fprintf(stream, "%*s\n", LINE - 1, "") == LINE);
	rewind(stream); /* nothing is left to write: a child's fflush(NULL) would move our offset */
	MUST(pthread_create(&threads[0], NULL, flush_all, NULL) == 0);
	for (int i = 1; i < 3; i++)
		MUST(pthread_create(&threads[i], NULL, read_lines, NULL) == 0);
	for (int i = 0; i < FORKS; i++) {
		const pid_t pid = fork();
		MUST(pid >= 0);
		if (pid == 0) {
			FILE *own = fopen("/dev/null", "w");
			_exit(own && fprintf(own, "%100s", "") == 100 && fflush(NULL) == 0 ? 0 : 1);
		}
		MUST(child_status(pid) == 0);
	}
	is_over = true;
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	MUST(heap_violations() == 0);
	puts("whole");
	return 0;
}
