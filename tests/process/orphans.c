/*
 * Children of a program that is killed and goes on: those that lived have been killed, those that
 * had ended have ended as they did; their numbers, their groups and SIGCHLD are as they would be.
 * And a child has nothing of ours.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t told;

static void must_at(bool is_so, const char *what, int line)
{
	if (is_so)
		return;
	printf("orphans: line %d: %s (errno %d, told %d)\n", line, what, errno, (int)told);
	fflush(stdout);
	_exit(1);
}
#define MUST(so) must_at(so, #so, __LINE__)

static void on_child(int number)
{
	told++;
}

static void be_killed(void)
{
	char line[16];

	puts("kill");
	MUST(fgets(line, sizeof(line), stdin) && strcmp(line, "go on\n") == 0);
}

static pid_t fork_to(void (*fn)(void))
{
	const pid_t pid = fork();

	MUST(pid >= 0);
	if (pid == 0) {
		fn();
		_exit(0);
	}
	return pid;
}

static void wait_for_ever(void)
{
	for (;;)
		pause();
}

static void end_with_7(void)
{
	_exit(7);
}

static void abort_now(void)
{
	raise(SIGABRT);
}

static void lead_session(void)
{
	MUST(setsid() == getpid());
	wait_for_ever();
}

static bool has_ended(pid_t pid)
{
	siginfo_t info = {0};

	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid;
}

/* Nobody waited for them; the signal has come before, and comes no more. */
static void the_ended_have_ended(void)
{
	int status;

	told = 0;
	const pid_t ended = fork_to(end_with_7), aborted = fork_to(abort_now);
	while (!has_ended(ended) || !has_ended(aborted) || told == 0)
		usleep(1000);
	usleep(10000);
	told = 0;
	be_killed();
	MUST(told == 0);
	MUST(waitpid(ended, &status, WNOHANG) == ended && WIFEXITED(status) &&
	     WEXITSTATUS(status) == 7);
	MUST(waitpid(aborted, &status, WNOHANG) == aborted && WIFSIGNALED(status) &&
	     WTERMSIG(status) == SIGABRT);
	MUST(wait(&status) == -1 && errno == ECHILD);
}

static bool is_killed(pid_t which, pid_t pid)
{
	int status;

	return waitpid(which, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

/* The second is in the first one's group, the third in none of ours. */
static void the_living_are_dead(void)
{
	const pid_t first = fork_to(wait_for_ever);
	MUST(setpgid(first, first) == 0);
	const pid_t second = fork_to(wait_for_ever), third = fork_to(lead_session);
	MUST(setpgid(second, first) == 0);
	while (getsid(third) != third)
		usleep(1000);
	const pid_t fourth = fork_to(wait_for_ever);
	told = 0;
	be_killed();
	MUST(told == 1);
	MUST(getpgid(second) == first && getsid(third) == third && getpgid(fourth) == getpgrp());
	MUST(kill(-first, SIGTERM) == 0); /* they are zombies, and there */
	MUST(is_killed(-third, third) && is_killed(second, second) && is_killed(-first, first));
	MUST(is_killed(-1, fourth));
	MUST(wait(NULL) == -1 && errno == ECHILD);
}

/* Its end of the pipe is gone with it. */
static void pipes_are_at_their_end(void)
{
	int to_us[2], to_child[2];
	char byte;

	MUST(pipe(to_us) == 0 && pipe(to_child) == 0);
	const pid_t pid = fork_to(wait_for_ever);
	close(to_us[1]);
	close(to_child[0]);
	be_killed();
	MUST(read(to_us[0], &byte, 1) == 0);
	signal(SIGPIPE, SIG_IGN);
	MUST(write(to_child[1], "x", 1) == -1 && errno == EPIPE);
	MUST(is_killed(pid, pid));
	close(to_us[0]);
	close(to_child[1]);
}

/* Who does not want to know of children has none to wait for. */
static void the_ignored_vanish(void)
{
	signal(SIGCHLD, SIG_IGN);
	fork_to(wait_for_ever);
	be_killed();
	MUST(wait(NULL) == -1 && errno == ECHILD);
	signal(SIGCHLD, on_child);
}

static void have_nothing_of_the_owner(void)
{
	struct { void *handler; unsigned long flags; void *restorer; uint64_t mask; } stop;
	DIR *directory = opendir("/proc/self/fd");
	const struct dirent *entry;
	int surplus = 0;

	while ((entry = readdir(directory)))
		surplus += atoi(entry->d_name) > 2 && atoi(entry->d_name) != dirfd(directory);
	MUST(surplus == 0);
	MUST(syscall(SYS_rt_sigaction, 33, NULL, &stop, 8) == 0 && !stop.handler);
}

static int be_clone(void *unused)
{
	have_nothing_of_the_owner();
	return 0;
}

static void a_child_has_nothing_of_ours(void)
{
	static char stack[1 << 17];
	int status;

	for (int i = 0; i < 2; i++) {
		const pid_t pid = fork_to(have_nothing_of_the_owner);
		MUST(waitpid(pid, &status, 0) == pid && status == 0);
		const pid_t cloned = clone(be_clone, stack + sizeof(stack), SIGCHLD, NULL);
		MUST(waitpid(cloned, &status, 0) == cloned && status == 0);
		const pid_t called = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
		if (called == 0)
			_exit(be_clone(NULL));
		MUST(waitpid(called, &status, 0) == called && status == 0);
		status = system("test \"$(ls /proc/self/fd | wc -l)\" -eq 4 && ! env | grep HEAPSAKE");
		MUST(status == 0);
		if (i == 0)
			be_killed();
	}
}

/* Forks while epochs are taken, and their children use the heap. */
static void allocate(void)
{
	for (int i = 1; i < 1000; i++)
		free(memset(malloc((size_t)i * 7), 1, (size_t)i * 7));
}

static void forks_and_epochs(void)
{
	int status;

	for (int i = 0; i < 300; i++) {
		const pid_t pid = fork_to(allocate);
		free(malloc((size_t)i * 100));
		MUST(waitpid(pid, &status, 0) == pid && status == 0);
	}
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	MUST(signal(SIGCHLD, on_child) == SIG_DFL);
	a_child_has_nothing_of_ours();
	the_ended_have_ended();
	the_living_are_dead();
	pipes_are_at_their_end();
	the_ignored_vanish();
	forks_and_epochs();
	be_killed();
	forks_and_epochs();
	return 0;
}
