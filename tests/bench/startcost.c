/*
 * What does starting a program cost, with this environment and with that one?
 *
 * usage: startcost COUNT PROGRAM (-- NAME [-FILE] [VARIABLE=VALUE...])...
 *
 * Starts PROGRAM COUNT times in each environment, one after the other in turn, by posix_spawn()
 * from a process of a megabyte, and waits for its end. -FILE is removed before each start,
 * outside the measured time. One line per environment: name, median, 10th and 90th percentile
 * in microseconds.
 */
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_CASES 16
#define MAX_VARIABLES 16

struct start_case {
	const char *name;
	const char *doomed; /* removed before each start */
	char *environment[MAX_VARIABLES + 1];
	double *taken_us;
};

static double now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec * 1e-3;
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static void start_once(struct start_case *start, char *program, unsigned long turn)
{
	char *arguments[] = {program, NULL};
	double started;
	int status, ret;
	pid_t pid;

	if (start->doomed && unlink(start->doomed) < 0 && errno != ENOENT) {
		fprintf(stderr, "startcost: %s: %s\n", start->doomed, strerror(errno));
		exit(1);
	}
	started = now_us();
	ret = posix_spawn(&pid, program, NULL, NULL, arguments, start->environment);
	if (ret != 0 || waitpid(pid, &status, 0) != pid || status != 0) {
		fprintf(stderr, "startcost: %s: %s did not end well\n", start->name, program);
		exit(1);
	}
	start->taken_us[turn] = now_us() - started;
}

static int parse_cases(int argc, char **argv, struct start_case *cases, unsigned long count)
{
	int case_count = 0;

	for (int i = 3; i < argc; case_count++) {
		struct start_case *start = &cases[case_count];
		int variables = 0;

		if (case_count == MAX_CASES || strcmp(argv[i], "--") != 0 || ++i == argc)
			return -1;
		start->name = argv[i++];
		start->taken_us = calloc(count, sizeof(*start->taken_us));
		for (; i < argc && strcmp(argv[i], "--") != 0; i++) {
			if (argv[i][0] == '-')
				start->doomed = argv[i] + 1;
			else if (variables < MAX_VARIABLES)
				start->environment[variables++] = argv[i];
			else
				return -1;
		}
	}
	return case_count;
}

int main(int argc, char **argv)
{
	static struct start_case cases[MAX_CASES];
	unsigned long count = argc > 3 ? strtoul(argv[1], NULL, 10) : 0;
	int case_count = count ? parse_cases(argc, argv, cases, count) : -1;

	if (case_count < 1) {
		fputs("usage: startcost COUNT PROGRAM (-- NAME [-FILE] [NAME=VALUE...])...\n",
		      stderr);
		return 2;
	}
	for (unsigned long turn = 0; turn < count; turn++)
		for (int i = 0; i < case_count; i++)
			start_once(&cases[(i + (int)turn) % case_count], argv[2], turn);
	for (int i = 0; i < case_count; i++) {
		qsort(cases[i].taken_us, count, sizeof(double), compare_doubles);
		printf("%s %.1f %.1f %.1f\n", cases[i].name, cases[i].taken_us[count / 2],
		       cases[i].taken_us[count / 10],
		       cases[i].taken_us[count - 1 - count / 10]);
	}
	return 0;
}
