/*
 * The problem: what a program has written to its standard output after the epoch it writes again,
 * so it is cut off the file; but `{ heapsake run ...; echo done; } >file` has lines of others in
 * the file, written through the same open description. The trick: a shell that redirects one
 * command opens the file in that command's process alone; so if a process above us has the
 * description, and is not one of those that only run another, the file is not the program's own,
 * and nothing is cut.
 */
#include "callers.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KCMP_FILE 0
#define GENERATIONS 64

static pid_t parent_of(pid_t pid)
{
	char path[64], line[512], *end = NULL;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	FILE *stat = fopen(path, "re");
	if (!stat)
		return 0;
	int parent = 0;
	if (fgets(line, sizeof(line), stat))
		for (char *at = line; *at; at++) /* a name may hold anything */
			end = *at == ')' ? at : end;
	if (end && sscanf(end, ") %*c %d", &parent) != 1)
		parent = 0;
	fclose(stat);
	return parent;
}

/* If it cannot be asked, it may have it. */
static bool has_description(pid_t pid, int its_fd, int fd)
{
	const long result = syscall(SYS_kcmp, pid, getpid(), KCMP_FILE, its_fd, fd);

	return result == 0 || result < 0;
}

static bool holds(pid_t pid, const struct stat *wanted, int fd)
{
	char path[64];
	struct stat st;
	bool is_held = false;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	DIR *all = opendir(path);
	if (!all)
		return false; /* another user's: it did not give us its files, but its child did */
	for (struct dirent *entry; !is_held && (entry = readdir(all)) != NULL;)
		is_held = fstatat(dirfd(all), entry->d_name, &st, 0) == 0 &&
			  st.st_dev == wanted->st_dev && st.st_ino == wanted->st_ino &&
			  has_description(pid, atoi(entry->d_name), fd);
	closedir(all);
	return is_held;
}

/* It runs another program, and writes nothing before that ends. */
static bool only_runs_another(pid_t pid)
{
	static const char *const names[] = {"timeout", "env", "nice", "ionice", "nohup", "setsid", "sudo",
					    "runuser", "su", "stdbuf", "time", "chrt", "taskset",
					    "setpriv", "unshare", "strace", "prlimit", "flock"};
	char path[64], name[32] = "";

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	FILE *comm = fopen(path, "re");
	if (!comm)
		return false;
	if (fgets(name, sizeof(name), comm))
		name[strcspn(name, "\n")] = 0;
	fclose(comm);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

uint32_t callers_files(void)
{
	uint32_t files = 0;

	for (int fd = 0; fd < 3; fd++) {
		struct stat st;
		pid_t pid = getppid();
		if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
			continue;
		for (int i = 0; i < GENERATIONS && pid > 0; i++, pid = parent_of(pid))
			if (!only_runs_another(pid) && holds(pid, &st, fd))
				files |= UINT32_C(1) << fd;
	}
	return files;
}
