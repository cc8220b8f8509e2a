/*
 * DESIGN 2.2, 2.3: a child of vfork shares the memory of the thread that made it, and the gates.
 * One that met them closed took itself for a forked child, and turned them off for its parent: no
 * epoch came to be any more. And a record that it made, under its own id, was its parent's later.
 * Nor is it the program's end where one ends by exit(), though it should not.
 *
 * with: HEAPSAKE_INTERVAL=0
 * run: run
 * inert: run
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "step.h"

#define EPOCHS 20

HSK_KEEP static volatile int count;
static volatile int is_over;
static int null, held[2];

/* Until then the gates are closed again and again. */
static void *ask(void *unused)
{
	int error = 0;

	HSK_TX { count++; }
	for (int i = 0; i < EPOCHS && !error; i++)
		error = hsk_checkpoint(20000);
	is_over = 1;
	MUST(error == (hsk_resumed() || hsk_epoch() ? 0 : -ENODEV));
	return unused;
}

static void a_child_that_meets_the_gates(void)
{
	pthread_t asking;

	HSK_TX { count++; }
	is_over = 0;
	MUST(pthread_create(&asking, NULL, ask, NULL) == 0);
	const pid_t pid = vfork();
	if (pid == 0) {
		while (!is_over) {
			count++;
			(void)!write(null, "x", 1);
		}
		_exit(0);
	}
	MUST(waitpid(pid, NULL, 0) == pid);
	MUST(pthread_join(asking, NULL) == 0);
}

/* What it calls in its child is the first that anybody hears of it. */
static void *be_new(void *unused)
{
	char byte;

	const pid_t pid = vfork();
	if (pid == 0) {
		(void)!write(null, "x", 1);
		_exit(0);
	}
	MUST(read(held[0], &byte, 1) == 1);
	return unused;
}

static void a_thread_that_is_new(void)
{
	const int expected = hsk_epoch() ? 0 : -ENODEV;
	pthread_t thread;

	MUST(pipe(held) == 0);
	MUST(pthread_create(&thread, NULL, be_new, NULL) == 0);
	while (waitpid(-1, NULL, 0) < 0) /* it has ended */
		usleep(1000);
	for (int i = 0; i < EPOCHS; i++) {
		count++;
		MUST(hsk_checkpoint(20000) == expected);
	}
	MUST(write(held[1], "x", 1) == 1);
	pthread_join(thread, NULL);
}

static void a_child_that_exits(void)
{
	int status;
	const pid_t pid = vfork();

	if (pid == 0) {
		execl("/nowhere", "nowhere", NULL);
		exit(9);
	}
	MUST(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 9);
	count++;
	MUST(hsk_checkpoint(20000) == (hsk_epoch() ? 0 : -ENODEV));
}

int main(int argc, char **argv)
{
	step_begin(argc, argv);
	null = open("/dev/null", O_WRONLY);
	a_child_that_meets_the_gates();
	a_thread_that_is_new();
	a_child_that_exits();
	return 0;
}
