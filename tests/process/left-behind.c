/*
 * A program that makes itself a daemon, by daemon(3), by hand, or by hand twice, and writes into a
 * file as soon as there is one; or one whose child ends with it, a moment later.
 *
 * usage: daemon libc|fork|twice|moment FILE
 */
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void become_daemon(void)
{
	if (fork() > 0)
		_exit(0);
	setsid();
}

/* Its parent is gone before the program ends. */
static void become_daemon_twice(void)
{
	const pid_t child = fork();

	if (child > 0) {
		waitpid(child, NULL, 0);
		_exit(0);
	}
	become_daemon();
}

/* Its child's last deed: to make the file. */
static int leave_for_a_moment(const char *path)
{
	int ends[2];
	char byte;

	if (pipe(ends) != 0)
		return 1;
	if (fork() != 0)
		return 0;
	close(ends[1]);
	if (read(ends[0], &byte, 1) == 0)
		fclose(fopen(path, "w"));
	return 0;
}

int main(int argc, char **argv)
{
	puts("begins");
	fflush(stdout);
	if (strcmp(argv[1], "moment") == 0)
		return leave_for_a_moment(argv[2]);
	if (strcmp(argv[1], "fork") == 0)
		become_daemon();
	else if (strcmp(argv[1], "twice") == 0)
		become_daemon_twice();
	else if (daemon(1, 0) != 0)
		return 1;
	alarm(100);
	FILE *file;
	while (!(file = fopen(argv[2], "r+")))
		usleep(1000);
	fputs("here", file);
	return fclose(file);
}
