/*
 * The problem: a path names whatever somebody put there, and somebody may put another thing there
 * a moment later. The trick: look at the name without touching what it leads to (O_PATH), open it
 * so that nothing can block or follow a link, and then judge the open file itself. The guarantee:
 * what was judged is what is used, and neither a fifo nor a device notices that we came by.
 */
#include "pool-parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "os.h"

/* Not realpath(3): it allocates, and we may be here before libc is ready. */
int pool_make_absolute(char *ret_path, const char *path, struct refusal *ret_why)
{
	char cwd[CONFIG_PATH_MAX] = "";
	int len = 1;

	if (!*path)
		return refuse(ret_why, STATUS_USAGE, "pool", "its path is empty; name a file");
	if (*path != '/')
		len = os_getcwd(cwd, sizeof(cwd));
	/* A removed working directory is shown as "(unreachable)...". */
	if (len < 0 || (*path != '/' && *cwd != '/'))
		return refuse(ret_why, STATUS_USAGE, path,
			      "the working directory has no path; name the pool from /");
	len = snprintf(ret_path, CONFIG_PATH_MAX, "%s%s%s", cwd,
		       *path == '/' || cwd[1] == 0 ? "" : "/", path);
	if (len < 0 || len >= CONFIG_PATH_MAX)
		return refuse(ret_why, STATUS_USAGE, path, "path longer than %d bytes; shorten it",
			      CONFIG_PATH_MAX - 1);
	return 0;
}

void pool_directory_of(char *ret_directory, const char *absolute)
{
	const char *slash = strrchr(absolute, '/');
	size_t len = slash == absolute ? 1 : (size_t)(slash - absolute);

	memcpy(ret_directory, absolute, len);
	ret_directory[len] = 0;
}

static int open_directory(const char *path)
{
	char directory[CONFIG_PATH_MAX];

	pool_directory_of(directory, path);
	return os_open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
}

int pool_check_directory(const char *path, struct refusal *ret_why)
{
	char directory[CONFIG_PATH_MAX];
	struct stat st;

	pool_directory_of(directory, path);
	int fd = os_open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
	if (fd == -ENOENT || fd == -ENOTDIR)
		return refuse(ret_why, STATUS_USAGE, path, "no such directory; make it first");
	if (fd < 0)
		return refuse(ret_why, STATUS_USAGE, path,
			      "its directory cannot be reached: error %d (%s); name another file",
			      -fd, strerrordesc_np(-fd));
	int error = os_fstat(fd, &st);
	os_close(fd);
	if (error)
		return refuse(ret_why, STATUS_USAGE, path, "its directory cannot be looked at: error %d "
			      "(%s); name another file", -error, strerrordesc_np(-error));
	if ((st.st_mode & S_IWOTH) && !(st.st_mode & S_ISVTX))
		return refuse(ret_why, STATUS_USAGE, path,
			      "anybody may replace files in its directory (mode %04o); chmod o-w %s",
			      (unsigned)st.st_mode & 07777, directory);
	return 0;
}

int pool_sync_directory(const char *path)
{
	int fd = open_directory(path);

	if (fd < 0)
		return fd;
	int error = os_fsync(fd);
	os_close(fd);
	return error;
}

int pool_check_file_limit(const char *path, uint64_t file_bytes, struct refusal *ret_why)
{
	struct rlimit limit;

	if (os_getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
	    file_bytes > limit.rlim_cur)
		return refuse(ret_why, STATUS_NO_SPACE, path,
			      "needs a file of %llu bytes, but the limit is %llu; "
			      "raise ulimit -f or choose a smaller size",
			      (unsigned long long)file_bytes, (unsigned long long)limit.rlim_cur);
	return 0;
}

bool pool_exists(const char *path)
{
	int fd = os_open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0);

	if (fd < 0)
		return fd != -ENOENT && fd != -ENOTDIR;
	os_close(fd);
	return true;
}

static const char *kind_name(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFLNK:
		return "a symbolic link";
	case S_IFDIR:
		return "a directory";
	case S_IFIFO:
		return "a fifo";
	case S_IFSOCK:
		return "a socket";
	case S_IFBLK:
		return "a block device";
	case S_IFCHR:
		return "a character device";
	default:
		return "of unknown kind";
	}
}

static int judge_kind(const char *path, const struct stat *st, struct refusal *ret_why)
{
	if (S_ISREG(st->st_mode))
		return 0;
	return refuse(ret_why, STATUS_USAGE, path, "is %s, not a regular file; name the file itself",
		      kind_name(st->st_mode));
}

int pool_judge_file(const char *path, const struct stat *st, struct refusal *ret_why)
{
	int status = judge_kind(path, st, ret_why);

	if (status)
		return status;
	if (st->st_uid != os_geteuid())
		return refuse(ret_why, STATUS_USAGE, path,
			      "belongs to user %u, found us as user %u; a pool is as trusted as "
			      "code: use your own",
			      st->st_uid, os_geteuid());
	if (st->st_mode & (S_IWGRP | S_IWOTH))
		return refuse(ret_why, STATUS_USAGE, path,
			      "others may write to it (mode %04o, expected 0600); chmod 600 it, if "
			      "you trust what it holds",
			      (unsigned)st->st_mode & 07777);
	if (st->st_nlink != 1)
		return refuse(ret_why, STATUS_USAGE, path,
			      "has %lu names, expected 1; remove the other hard links",
			      (unsigned long)st->st_nlink);
	return 0;
}

static int refuse_open(const char *path, int error, struct refusal *ret_why)
{
	switch (error) {
	case -ENOENT:
	case -ENOTDIR:
		return refuse(ret_why, STATUS_USAGE, path, "no such pool; heapsake create makes one");
	case -EACCES:
	case -EPERM:
		return refuse(ret_why, STATUS_USAGE, path, "permission denied; chmod 600 it");
	case -EROFS:
		return refuse(ret_why, STATUS_USAGE, path,
			      "is on a read-only file system; remount it or use another pool");
	case -ELOOP:
		return refuse(ret_why, STATUS_USAGE, path,
			      "is a symbolic link, not a regular file; name the file itself");
	default:
		return refuse(ret_why, STATUS_USAGE, path,
			      "cannot be opened: error %d (%s); name another file", -error,
			      strerrordesc_np(-error));
	}
}

int pool_open_file(const char *path, bool is_writable, int *ret_fd, struct stat *ret_stat,
		   struct refusal *ret_why)
{
	int fd = os_open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0);

	if (fd < 0)
		return refuse_open(path, fd, ret_why);
	int error = os_fstat(fd, ret_stat);
	os_close(fd);
	if (error)
		return refuse_open(path, error, ret_why);
	/* A first look keeps us from disturbing a device; the judgement is on the open file. */
	int status = judge_kind(path, ret_stat, ret_why);
	if (status)
		return status;
	fd = os_open(path, (is_writable ? O_RDWR : O_RDONLY) | POOL_OPEN_FLAGS, 0);
	if (fd < 0) { /* another user's file is that first, and then closed to us */
		status = pool_judge_file(path, ret_stat, ret_why);
		return status ? status : refuse_open(path, fd, ret_why);
	}
	error = os_fstat(fd, ret_stat);
	status = error ? refuse_open(path, error, ret_why) : pool_judge_file(path, ret_stat, ret_why);
	int moved = status ? -1 : os_fd_move(fd);
	if (!status && moved < 0)
		status = refuse_open(path, moved, ret_why);
	if (status) {
		os_close(fd);
		return status;
	}
	*ret_fd = moved;
	return 0;
}
