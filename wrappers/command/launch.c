/*
 * Where the library is. The command and its library belong together, so the library is looked
 * for relative to the command's own file and nowhere else: an installation may be moved or
 * unpacked anywhere, and two of them on one machine do not mix.
 */
#include "launch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define STATUS_NOT_EXECUTABLE 126
#define STATUS_NOT_FOUND 127
#define LIBRARY_NAME "libheapsake.so"
#define BUILD_TREE_PLACE "/wrappers/command"

/* The directory of the running command, without a slash at its end. */
static int launch_own_directory(char ret_dir[PATH_MAX])
{
	ssize_t len = readlink("/proc/self/exe", ret_dir, PATH_MAX - 1);

	if (len < 0)
		return -errno;
	ret_dir[len] = 0;
	char *slash = strrchr(ret_dir, '/');
	if (!slash)
		return -ENOENT;
	*slash = 0;
	return 0;
}

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), end_len = strlen(end);

	return len >= end_len && !strcmp(text + len - end_len, end);
}

/* The loader skips a library it cannot map with a line of its own, and starts the program. */
static int launch_check_library(const char *path, struct refusal *ret_why)
{
	struct statvfs fs;

	if (access(path, R_OK) < 0)
		return refuse(ret_why, STATUS_LAUNCH, path,
			      "cannot be read: %s; install heapsake anew", strerror(errno));
	if (statvfs(path, &fs) == 0 && (fs.f_flag & ST_NOEXEC))
		return refuse(
			ret_why, STATUS_LAUNCH, path,
			"lies on a file system mounted noexec; install heapsake elsewhere");
	if (strpbrk(path, " :\t\n"))
		return refuse(ret_why, STATUS_LAUNCH, path,
			      "LD_PRELOAD cannot carry a path with blanks or colons; install "
			      "heapsake "
			      "elsewhere");
	return 0;
}

int launch_find_library(char ret_path[PATH_MAX], struct refusal *ret_why)
{
	char dir[PATH_MAX], wanted[PATH_MAX + 128];
	int error = launch_own_directory(dir);

	if (error)
		return refuse(ret_why, STATUS_LAUNCH, "/proc/self/exe",
			      "cannot be read: %s; mount /proc", strerror(-error));
	if (LIBRARY_PLACE[0] == '/')
		snprintf(wanted, sizeof(wanted), "%s/" LIBRARY_NAME, LIBRARY_PLACE);
	else
		snprintf(wanted, sizeof(wanted), "%s/%s/" LIBRARY_NAME, dir, LIBRARY_PLACE);
	if (ends_with(dir, BUILD_TREE_PLACE))
		snprintf(wanted, sizeof(wanted), "%s/../../preload/" LIBRARY_NAME, dir);
	if (!realpath(wanted, ret_path))
		return refuse(ret_why, STATUS_LAUNCH, wanted, "%s; install heapsake anew",
			      strerror(errno));
	return launch_check_library(ret_path, ret_why);
}

int launch_set_preload(struct refusal *ret_why)
{
	const char *others = getenv("LD_PRELOAD");
	char library[PATH_MAX];
	char *value;
	int status = launch_find_library(library, ret_why);

	if (status)
		return status;
	if (asprintf(&value, "%s%s%s", library, others && *others ? ":" : "",
		     others ? others : "") < 0)
		return refuse(ret_why, STATUS_LAUNCH, "LD_PRELOAD", "out of memory; try again");
	setenv("LD_PRELOAD", value, 1);
	free(value);
	return 0;
}

int launch_quote_pool(const char *path, char ret_value[CONFIG_PATH_MAX])
{
	size_t len = 0;

	for (; *path; path++) {
		if (len + 2 >= CONFIG_PATH_MAX)
			return -ENAMETOOLONG;
		if (*path == '%')
			ret_value[len++] = '%';
		ret_value[len++] = *path;
	}
	ret_value[len] = 0;
	return 0;
}

int launch_exec(const char *path, char **argv, char **envp)
{
	unsigned count = 0;

	execve(path, argv, envp);
	if (errno != ENOEXEC)
		return errno;
	while (argv[count])
		count++;
	char **shell_argv = calloc(count + 2, sizeof(char *));
	if (!shell_argv)
		return ENOMEM;
	shell_argv[0] = argv[0];
	shell_argv[1] = (char *)path;
	memcpy(shell_argv + 2, argv + 1, count * sizeof(char *)); /* the NULL as well */
	execve("/bin/sh", shell_argv, envp);
	free(shell_argv);
	return errno;
}

int launch_say_not_started(const char *name, int error)
{
	say(SAY_ERROR, name, "cannot be started: %s", strerror(error));
	return error == ENOENT ? STATUS_NOT_FOUND : STATUS_NOT_EXECUTABLE;
}
