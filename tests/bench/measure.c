/*
 * Runs one program and writes down what it cost, from a process that costs nothing itself.
 *
 * usage: measure REPORT SMAPS [NAME=VALUE...] PROGRAM [ARGUMENT...]
 *
 * A child starts with the peak memory of the process it was forked from, so whoever measures
 * peak RSS must be smaller than anything measured; the runner, a Python program, is not. REPORT
 * gets one line: wall seconds, user seconds, system seconds, peak RSS in KiB, wait status. The
 * rusage is that of the program and of the children it waited for.
 *
 * SMAPS is "-", or a file that gets the program's /proc/PID/smaps at the instant of its exit
 * (by ptrace): the proof of which malloc it used. A traced run is not a measured run.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "measure: %s: %s\n", what, strerror(errno));
	exit(125);
}

static double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static double timeval_seconds(const struct timeval *time)
{
	return (double)time->tv_sec + (double)time->tv_usec * 1e-6;
}

static void copy_smaps(pid_t pid, const char *to)
{
	char path[64], buffer[65536];
	ssize_t len;
	int in, out;

	snprintf(path, sizeof(path), "/proc/%d/smaps", pid);
	in = open(path, O_RDONLY | O_CLOEXEC);
	out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (in < 0 || out < 0)
		die(in < 0 ? path : to);
	while ((len = read(in, buffer, sizeof(buffer))) > 0)
		if (write(out, buffer, (size_t)len) != len)
			die(to);
	close(in);
	close(out);
}

/* Let the program run from stop to stop until it has ended; *ret_usage is wait4()'s. */
static int wait_traced(pid_t pid, const char *smaps_path, struct rusage *ret_usage)
{
	int status;

	while (wait4(pid, &status, 0, ret_usage) == pid) {
		int signal_number = WIFSTOPPED(status) ? WSTOPSIG(status) : 0;

		if (!WIFSTOPPED(status))
			return status;
		if (status >> 8 == (SIGTRAP | (PTRACE_EVENT_EXIT << 8))) {
			copy_smaps(pid, smaps_path);
			signal_number = 0;
		} else if (signal_number == SIGTRAP) { /* the exec */
			ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACEEXIT);
			signal_number = 0;
		}
		ptrace(PTRACE_CONT, pid, NULL, (void *)(long)signal_number);
	}
	die("wait4");
}

int main(int argc, char **argv)
{
	int is_traced, status, at = 3;
	double started;
	struct rusage usage;
	FILE *report;
	pid_t pid;

	if (argc < 4) {
		fputs("usage: measure REPORT SMAPS [NAME=VALUE...] PROGRAM [ARGUMENT...]\n",
		      stderr);
		return 125;
	}
	is_traced = strcmp(argv[2], "-") != 0;
	started = seconds_now();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	pid = is_traced ? fork() : vfork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		char *environment[256];
		int count = 0;

		for (; at < argc && strchr(argv[at], '=') && count < 255; at++)
			environment[count++] = argv[at];
		environment[count] = NULL;
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* a runner that is stopped leaves nothing */
		if (is_traced)
			ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		if (at < argc)
			execve(argv[at], argv + at, environment);
		_exit(127);
	}
	if (is_traced)
		status = wait_traced(pid, argv[2], &usage);
	else if (wait4(pid, &status, 0, &usage) != pid)
		die("wait4");
	report = fopen(argv[1], "w");
	if (!report)
		die(argv[1]);
	fprintf(report, "%.6f %.6f %.6f %ld %d\n", seconds_now() - started,
		timeval_seconds(&usage.ru_utime), timeval_seconds(&usage.ru_stime),
		usage.ru_maxrss, status);
	return fclose(report) ? 125 : 0;
}
