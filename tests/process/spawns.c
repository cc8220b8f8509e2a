/* A program of the zoo: works by processes of all kinds, each begun again if it was killed. */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static void must_at(bool is_so, const char *what, int line)
{
	if (is_so)
		return;
	printf("spawns: line %d: %s (errno %d)\n", line, what, errno);
	exit(1);
}
#define MUST(so) must_at(so, #so, __LINE__)

static volatile sig_atomic_t told;

static void on_child(int number)
{
	told = 1;
}

static bool was_killed(int status)
{
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

/* The shell tells of a process of its own that was killed by 137. */
static int by_system(int number)
{
	char command[64];
	int status;

	snprintf(command, sizeof(command), "exit %d", number % 100);
	do
		status = system(command);
	while (was_killed(status));
	MUST(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int by_popen(int number)
{
	char command[64];
	int found = -1, status;

	snprintf(command, sizeof(command), "expr %d '*' 3 + 1", number);
	do {
		FILE *pipe = popen(command, "r");
		MUST(pipe);
		if (fscanf(pipe, "%d", &found) != 1)
			found = -1;
		status = pclose(pipe);
	} while (was_killed(status) || (WIFEXITED(status) && WEXITSTATUS(status) == 137));
	MUST(status == 0);
	return found;
}

static int wait_for(pid_t pid)
{
	int status;

	MUST(pid > 0);
	while (waitpid(pid, &status, 0) != pid)
		MUST(errno == EINTR);
	return status;
}

static int by_spawn(void)
{
	char name[] = "true", *argv[] = {name, NULL};
	int status;
	pid_t pid;

	do {
		MUST(posix_spawnp(&pid, "true", NULL, NULL, argv, environ) == 0);
		status = wait_for(pid);
	} while (was_killed(status));
	return status;
}

static int by_vfork(void)
{
	int status;

	do {
		const pid_t pid = vfork();
		if (pid == 0) {
			execlp("sh", "sh", "-c", "exit 9", NULL);
			_exit(127);
		}
		status = wait_for(pid);
	} while (was_killed(status));
	return WEXITSTATUS(status);
}

/* Its end is heard of, whoever ended it. */
static int by_fork(int number)
{
	sigset_t children, before;
	int status;

	sigemptyset(&children);
	sigaddset(&children, SIGCHLD);
	sigprocmask(SIG_BLOCK, &children, &before);
	do {
		told = 0;
		const pid_t pid = fork();
		if (pid == 0) {
			usleep(2000);
			_exit(number % 77);
		}
		while (!told)
			sigsuspend(&before);
		status = wait_for(pid);
	} while (was_killed(status));
	sigprocmask(SIG_SETMASK, &before, NULL);
	MUST(WIFEXITED(status));
	return WEXITSTATUS(status);
}

int main(void)
{
	signal(SIGCHLD, on_child);
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 0; i < 150; i++) {
		printf("%d %d ", by_system(i), by_popen(i));
		printf("%d %d %d\n", by_spawn(), by_vfork(), by_fork(i));
		MUST(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
	}
	return 0;
}
