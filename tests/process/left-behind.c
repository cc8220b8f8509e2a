/*
 * A program that makes itself a daemon, by daemon(3) or by hand, and then writes a file.
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
	usleep(300000); /* the parent is gone by now */
	FILE *file = fopen(argv[2], "w");
	if (!file)
		return 1;
	fputs("here", file);
	fclose(file);
	return 0;
}
