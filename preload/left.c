/*
 * Daemons: a program that forks, ends, and goes on as its child. What was kept was the parent; the
 * child is nobody's (fork.c). It is told in one line, at the end of the parent. Under keep=process
 * somebody stays with the children, and tells it of those that have not ended a moment later
 * (wrappers/command/init.c).
 *
 * daemon(3) ends the parent inside libc, where nobody notes that it has ended, and the next run
 * would bring it back: so where the parent is kept it is written out here.
 *
 * A child that runs another program is none of ours: it was never to be kept.
 */
#include "ends.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "line.h"
#include "os.h"
#include "preload.h"
#include "process/process.h"
#include "real.h"
#include "say.h"
#include "task.h"

static bool is_same_program(int pid)
{
	char path[64];
	struct line line = line_in(path, sizeof(path));
	struct stat ours, childs;

	line_add(&line, "/proc/");
	line_add_number(&line, (uint64_t)pid, 10);
	line_add(&line, "/exe");
	return os_stat("/proc/self/exe", &ours) == 0 && os_stat(path, &childs) == 0 &&
	       ours.st_dev == childs.st_dev && ours.st_ino == childs.st_ino;
}

static bool is_kept(void)
{
	return preload.keep >= KEEP_HEAP && preload.owner != 0 && os_getpid() == preload.owner;
}

void left_tell(void)
{
	const int pid = is_kept() && preload.keep == KEEP_HEAP ? process_find_child() : 0;
	char name[32];

	if (!pid || !is_same_program(pid))
		return;
	const long len = os_read_process((uint32_t)pid, "comm", name, sizeof(name));
	name[len > 0 ? len - 1 : 0] = 0; /* it ends with a newline */
	say(SAY_WARN, preload.pool.path, "the program has ended, and process %d (%s) that it has left "
	    "behind is not kept; what is to be kept must not make itself a daemon: run it in the "
	    "foreground", pid, name);
}

static int use_null(void)
{
	const int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return -1;
	for (int i = 0; i < 3; i++)
		if (dup2(fd, i) < 0)
			return -1;
	if (fd > 2)
		close(fd);
	return 0;
}

INTERPOSE int daemon(int keeps_directory, int keeps_files)
{
	if (likely(!is_kept()))
		return REAL(daemon)(keeps_directory, keeps_files);
	const pid_t pid = fork();
	if (pid > 0)
		_exit(0);
	if (pid < 0 || setsid() < 0 || (!keeps_directory && chdir("/") < 0))
		return -1;
	return keeps_files ? 0 : use_null();
}
