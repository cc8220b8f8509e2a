/*
 * `heapsake rm`: remove a pool, and nothing that is not one.
 *
 * The pool is opened, verified and locked against owners before its name goes; and the name is
 * looked at once more, as whoever may write the directory could have put another file there.
 */
#include "command.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <libgen.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pool.h"

static bool rm_is_still_there(const struct pool *pool)
{
	struct stat st;

	return lstat(pool->path, &st) == 0 && st.st_dev == pool->dev && st.st_ino == pool->ino;
}

/* The pool is gone for good only when its directory says so on media. */
static int rm_sync_directory(const struct pool *pool)
{
	char path[CONFIG_PATH_MAX];

	snprintf(path, sizeof(path), "%s", pool->path);
	int fd = open(dirname(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int error = fd < 0 || fsync(fd) < 0 ? -errno : 0;
	if (fd >= 0)
		close(fd);
	return error == -EINVAL || error == -EACCES ? 0 : error;
}

static int rm_remove(const struct pool *pool, struct refusal *ret_why)
{
	if (!rm_is_still_there(pool))
		return refuse(
			ret_why, STATUS_FAILED, pool->path,
			"another file has taken its name; look what is there, and try again");
	if (unlink(pool->path) < 0)
		return refuse(ret_why, STATUS_FAILED, pool->path,
			      "cannot be removed: %s; look at the "
			      "rights of its directory",
			      strerror(errno));
	int error = rm_sync_directory(pool);
	if (error)
		return refuse(
			ret_why, STATUS_FAILED, pool->path,
			"is removed, but its directory cannot be synced: %s; look at the disk",
			strerror(-error));
	return 0;
}

int rm_main(int argc, char **argv)
{
	static const struct option longs[] = {{0}};
	static struct pool pool;
	struct refusal why;
	int status;

	if (usage_next_option(argc, argv, "", longs, &status) != -1)
		return status;
	const char *path = usage_one_operand(argc, argv, "POOL");
	if (!path)
		return STATUS_USAGE;
	if (pool_open(&pool, path, POOL_CHECK, &why) != 0)
		return text_say_refusal(&why);
	status = rm_remove(&pool, &why);
	pool_close(&pool);
	return status ? text_say_refusal(&why) : STATUS_OK;
}
