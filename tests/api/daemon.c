/*
 * DESIGN 2.7: a program that ends and goes on as its child is told in one line that it is not kept;
 * one that leaves another program running is not.
 *
 * run: forks
 * says: heapsake: .*: the program has ended, and process \d+ \(.*\) that it has left behind is not kept; .*
 * run: daemon
 * says: heapsake: .*: the program has ended, and process \d+ \(.*\) that it has left behind is not kept; .*
 * run: starts
 * run: waits
 * inert: forks
 */
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "step.h"

/* Until the end of its parent has been told; it holds the pipe that the test reads. */
static void outlive(pid_t parent)
{
	while (getppid() == parent)
		usleep(1000);
}

static void go_on_as_child(pid_t parent)
{
	if (fork() != 0)
		return;
	outlive(parent);
	_exit(0);
}

int main(int argc, char **argv)
{
	const pid_t parent = getpid();
	int started[2];
	char byte;

	step_begin(argc, argv);
	if (step_is("daemon")) {
		MUST(daemon(1, 1) == 0);
		outlive(parent);
	} else if (step_is("starts")) {
		MUST(pipe2(started, O_CLOEXEC) == 0);
		if (fork() == 0)
			execl("/bin/sleep", "sleep", "0.2", NULL);
		close(started[1]);
		MUST(read(started[0], &byte, 1) == 0); /* it has become another program */
	} else if (step_is("waits")) {
		const pid_t child = fork();
		if (child == 0)
			_exit(0);
		MUST(waitpid(child, NULL, 0) == child);
	} else {
		go_on_as_child(parent);
	}
	return 0;
}
