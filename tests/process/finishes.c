/* Ends in one of many ways, with status 7 where there is a choice: finishes.py knows which of them
 * are ends. Its standard output is the list of what it has come by. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define STATUS 7

static void tell(const char *what)
{
	dprintf(1, "%s\n", what);
}

/* Until there is an epoch of this: finishes.py takes it, and the file away. */
static void rest(void)
{
	close(open("rest", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	while (access("rest", F_OK) == 0)
		usleep(1000);
}

/* In its first life only: the world outside remembers. */
static void die_once(int number)
{
	const int fd = open("has-died", O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);

	if (fd >= 0)
		kill(getpid(), number);
}

static void end_slowly(void)
{
	tell("handler");
	rest();
	die_once(SIGKILL);
	tell("handled");
}

static ssize_t write_slowly(void *cookie, const char *bytes, size_t len)
{
	rest();
	die_once(SIGKILL);
	return (ssize_t)len;
}

/* Nothing of it is written until libc does, behind all exit handlers. */
static void leave_in_a_stream(void)
{
	FILE *stream = fopencookie(NULL, "w", (cookie_io_functions_t){.write = write_slowly});

	if (!stream || fputs("left", stream) < 0)
		abort();
}

static void *exit_here(void *unused)
{
	rest();
	exit(STATUS);
}

static void *end_last(void *unused)
{
	rest();
	return NULL;
}

static void start_thread(void *(*fn)(void *))
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, fn, NULL) != 0)
		abort();
}

static void wait_for(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != STATUS)
		tell("a child ended otherwise");
}

/* None of these is an end of ours. */
static void have_children(void)
{
	pid_t pid = fork();

	if (pid == 0)
		exit(STATUS);
	wait_for(pid);
	pid = fork();
	if (pid == 0)
		_exit(STATUS);
	wait_for(pid);
	pid = vfork();
	if (pid == 0)
		_exit(STATUS);
	wait_for(pid);
	if (WEXITSTATUS(system("exit 7")) != STATUS)
		tell("system ended otherwise");
}

/* Another program, or this one again, is what goes on. */
static void exec_late(void)
{
	die_once(SIGKILL);
	if (execl("./missing", "missing", NULL) == -1)
		tell("no such program");
	rest();
	execl("/proc/self/exe", "finishes", "killed", NULL);
}

static int end_by(const char *way)
{
	if (strcmp(way, "exec") == 0)
		execl("/proc/self/exe", "finishes", "killed", NULL);
	if (strcmp(way, "exec-late") == 0)
		exec_late();
	if (strcmp(way, "exit") == 0)
		exit(STATUS);
	if (strcmp(way, "quick_exit") == 0)
		quick_exit(STATUS);
	if (strcmp(way, "_exit") == 0)
		_exit(STATUS);
	if (strcmp(way, "_Exit") == 0)
		_Exit(STATUS);
	if (strcmp(way, "exit_group") == 0)
		syscall(SYS_exit_group, STATUS);
	if (strcmp(way, "abort") == 0)
		abort();
	if (strcmp(way, "terminated") == 0)
		die_once(SIGTERM);
	if (strcmp(way, "killed") == 0)
		die_once(SIGKILL);
	if (strcmp(way, "thread") == 0) {
		start_thread(exit_here);
		pause();
	}
	if (strcmp(way, "last-thread") == 0) {
		start_thread(end_last);
		pthread_exit(NULL);
	}
	if (strcmp(way, "children") == 0) {
		have_children();
		rest(); /* what has not been waited for is killed at a resume */
		die_once(SIGKILL);
	}
	if (strcmp(way, "stream") == 0)
		leave_in_a_stream();
	if (strcmp(way, "handler") == 0)
		atexit(end_slowly);
	return STATUS;
}

int main(int argc, char **argv)
{
	tell("begun");
	rest();
	const int status = end_by(argv[1]);
	tell("done");
	return status;
}
