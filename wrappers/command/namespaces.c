/*
 * The problem: a program is to find its pids, its thread ids and its clock again in a machine that
 * has given those numbers to others and may have been started anew. The trick: a pid namespace in
 * which nobody else is, so that any number is free; with it a /proc that shows it, and after a
 * restart of the machine a time namespace that puts the clock where it was. Who is not root may
 * have them inside a user namespace, in which he is who he was. The guarantee: what is not allowed
 * here is told by what it is, and nothing of it stays behind in the caller.
 *
 * What is mounted later outside is seen inside, not the reverse.
 */
#include "life.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SECOND_NS INT64_C(1000000000)

/* Root of a container is often root by name only. */
unsigned namespaces_flags(int ret_flags[NAMESPACES_MAX])
{
	const int flags = CLONE_NEWPID | CLONE_NEWNS;
	unsigned count = 0;

	if (geteuid() == 0)
		ret_flags[count++] = flags;
	ret_flags[count++] = flags | CLONE_NEWUSER;
	return count;
}

pid_t namespaces_fork(int flags)
{
	return (pid_t)syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
}

pid_t namespaces_fork_as(pid_t wanted)
{
	struct clone_args args = {
		.exit_signal = SIGCHLD,
		.set_tid = (uint64_t)(uintptr_t)&wanted,
		.set_tid_size = 1,
	};

	return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

/* Our own number is taken, which is found out after everything else. */
int namespaces_try_number(void)
{
	return namespaces_fork_as(getpid()) < 0 && errno == EEXIST ? 0 : -errno;
}

const char *namespaces_error(int error)
{
	return error == ENOSPC || error == EUSERS ? "user.max_user_namespaces allows no more"
						  : strerror(error);
}

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	ssize_t written = write(fd, text, strlen(text));
	int error = written < 0 ? -errno : 0;
	close(fd);
	return error;
}

/* Inside we are who we were, and nobody else is anybody. */
static int map_user(const struct life *life)
{
	char text[64];
	int error = write_file("/proc/self/setgroups", "deny"); /* else no gid_map */

	snprintf(text, sizeof(text), "%u %u 1", life->uid, life->uid);
	if (!error || error == -ENOENT)
		error = write_file("/proc/self/uid_map", text);
	snprintf(text, sizeof(text), "%u %u 1", life->gid, life->gid);
	return error ? error : write_file("/proc/self/gid_map", text);
}

static int mount_proc(void)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return -errno;
	if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		return -errno;
	return 0;
}

static int format_offset(char *text, size_t size, const char *clock, int64_t ahead_ns)
{
	return snprintf(text, size, "%s %lld %lld\n", clock, (long long)(ahead_ns / SECOND_NS),
			(long long)(ahead_ns % SECOND_NS));
}

int namespaces_put_clocks_forward(const struct life *life)
{
	char text[128];

	if (unshare(CLONE_NEWTIME) < 0)
		return -errno;
	int len = format_offset(text, sizeof(text), "monotonic", life->monotonic_ahead_ns);
	format_offset(text + len, sizeof(text) - (size_t)len, "boottime", life->boottime_ahead_ns);
	return write_file("/proc/self/timens_offsets", text);
}

int namespaces_enter(const struct life *life, int flags, const char **ret_what)
{
	int error = 0;

	*ret_what = "user namespace";
	if (flags & CLONE_NEWUSER)
		error = map_user(life);
	if (!error && (flags & CLONE_NEWNS)) {
		*ret_what = "/proc of a pid namespace";
		error = mount_proc();
	}
	return error;
}
