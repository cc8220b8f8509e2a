/*
 * A program that makes itself a daemon, by daemon(3) or by hand, and writes into a file as soon as
 * there is one.
 *
 * usage: daemon libc|fork FILE
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void become_daemon(void)
{
	if (fork() > 0)
		_exit(0);
	setsid();
}

int main(int argc, char **argv)
{
	puts("begins");
	fflush(stdout);
	if (strcmp(argv[1], "fork") == 0)
		become_daemon();
	else if (daemon(1, 0) != 0)
		return 1;
	alarm(100);
	FILE *file;
	while (!(file = fopen(argv[2], "r+")))
		usleep(1000);
	fputs("here", file);
	return fclose(file);
}
