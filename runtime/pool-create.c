/*
 * The problem: a crash or a full disk in the middle of making a pool must leave neither half a
 * pool, nor litter, nor a name that blocks the next run. The trick: the file is made without a
 * name (O_TMPFILE), written, synced, and only then linked into place, which fails if the name is
 * taken. Where that is not to be had, it is made under a random name beside it and renamed. The
 * guarantee: under its name a pool is whole from its first moment, and nothing is ever replaced.
 */
#include "pool-parts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>

#include "os-x86_64.h"
#include "os.h"
#include "superblock.h"

#define POOL_MODE 0600u

struct creation {
	const char *path;
	char directory[CONFIG_PATH_MAX];
	char temporary[CONFIG_PATH_MAX + 32]; /* empty: the file has no name yet */
	int fd;
};

static int creation_open(struct creation *creation)
{
	uint64_t number;

	creation->temporary[0] = 0;
	creation->fd = os_open(creation->directory, O_TMPFILE | O_RDWR | O_CLOEXEC, POOL_MODE);
	if (creation->fd >= 0)
		return 0;
	if (creation->fd != -EOPNOTSUPP && creation->fd != -EISDIR && creation->fd != -EINVAL)
		return creation->fd;
	if (os_getrandom(&number, sizeof(number)) < 0)
		number = os_clock_ns(CLOCK_REALTIME);
	snprintf(creation->temporary, sizeof(creation->temporary), "%s.new-%016llx", creation->path,
		 (unsigned long long)number);
	creation->fd = os_open(creation->temporary,
			       O_CREAT | O_EXCL | O_NOFOLLOW | O_RDWR | O_CLOEXEC, POOL_MODE);
	return creation->fd < 0 ? creation->fd : 0;
}

/* Gives the file its name, or -EEXIST. */
static int creation_publish(struct creation *creation)
{
	char self[32];

	if (creation->temporary[0]) {
		int error = os_renameat2(creation->temporary, creation->path, RENAME_NOREPLACE);
		if (error != -EINVAL && error != -ENOSYS)
			return error;
		error = os_link(creation->temporary, creation->path, 0);
		if (!error)
			os_unlink(creation->temporary);
		return error;
	}
	snprintf(self, sizeof(self), "/proc/self/fd/%d", creation->fd);
	int error = os_link(self, creation->path, AT_SYMLINK_FOLLOW);
	if (error == -ENOENT) /* no /proc here: the kernel may let us name the descriptor itself */
		error = (int)os_syscall6(SYS_linkat, creation->fd, (long)"", AT_FDCWD,
					 (long)creation->path, AT_EMPTY_PATH, 0);
	return error;
}

static void creation_discard(struct creation *creation)
{
	if (creation->fd < 0)
		return;
	if (creation->temporary[0])
		os_unlink(creation->temporary);
	os_close(creation->fd);
}

static void superblock_init(struct layout_superblock *sb, const struct pool_plan *plan)
{
	memset(sb, 0, sizeof(*sb));
	sb->magic = LAYOUT_MAGIC;
	sb->version = LAYOUT_VERSION;
	sb->machine = OS_ELF_MACHINE;
	sb->endianness = 1;
	sb->word_class = 2;
	sb->page_bytes = OS_PAGE_BYTES;
	sb->base = plan->base ? plan->base : LAYOUT_BASE_DEFAULT;
	sb->size_bytes = (plan->size_bytes + LAYOUT_CHUNK_BYTES - 1) & ~(LAYOUT_CHUNK_BYTES - 1);
	sb->keep = KEEP_UNSET;
	sb->maker_uid = os_geteuid();
	sb->created_unix_ns = os_clock_ns(CLOCK_REALTIME);
	sb->extent_count = 1;
	sb->extents[0] = (struct layout_extent){
		.file_offset = LAYOUT_HEAD_BYTES,
		.len = sb->size_bytes,
		.use = LAYOUT_USE_HEAP,
	};
}

/* btrfs writes a page of a file elsewhere each time, and where the disk is full that is SIGBUS in a
 * program that stores into its heap, whatever was allocated before. Only an empty file can be told
 * to stay in place; other file systems do so anyway, and decline. */
static void forbid_copy_on_write(int fd)
{
	int flags = 0;

	if (os_ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0) {
		flags |= FS_NOCOW_FL;
		os_ioctl(fd, FS_IOC_SETFLAGS, &flags);
	}
}

/* Head, both superblocks, size: all that a pool is before its first run. */
static int write_empty_pool(int fd, struct layout_superblock *sb)
{
	int error = os_fchmod(fd, POOL_MODE); /* whatever the umask */

	forbid_copy_on_write(fd);
	if (!error)
		error = os_pwrite_zeros(fd, LAYOUT_HEAD_WRITTEN_BYTES, 0);
	for (sb->seq = 1; !error && sb->seq <= 2; sb->seq++)
		error = superblock_store(fd, sb);
	if (!error)
		error = os_ftruncate(fd, LAYOUT_HEAD_BYTES + sb->size_bytes);
	if (!error) /* pages given back must leave the file: without that, no pool here */
		error = os_fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				     LAYOUT_HEAD_BYTES, LAYOUT_CHUNK_BYTES);
	if (!error) /* the name, linked next, must not lead to a file whose bytes are still to come */
		error = os_fsync(fd);
	return error;
}

static int verify_plan(const struct layout_superblock *sb, const struct pool_plan *plan,
		       const char *path, struct refusal *ret_why)
{
	if (plan->size_bytes < LAYOUT_HEAP_MIN_BYTES || plan->size_bytes > LAYOUT_ADDRESS_END)
		return refuse(ret_why, STATUS_USAGE, path,
			      "a size of %llu bytes is not possible; choose 16M to %lluT",
			      (unsigned long long)plan->size_bytes,
			      (unsigned long long)((LAYOUT_ADDRESS_END - LAYOUT_BASE_DEFAULT) >> 40));
	if (sb->base % LAYOUT_CHUNK_BYTES || sb->base >= LAYOUT_ADDRESS_END ||
	    sb->size_bytes > LAYOUT_ADDRESS_END - sb->base)
		return refuse(ret_why, STATUS_USAGE, path,
			      "a base of 0x%llx is not possible for %llu bytes; "
			      "choose a multiple of 2 MiB with room below 0x%llx",
			      (unsigned long long)sb->base, (unsigned long long)sb->size_bytes,
			      (unsigned long long)LAYOUT_ADDRESS_END);
	return pool_check_file_limit(path, LAYOUT_HEAD_BYTES + sb->size_bytes, ret_why);
}

static int refuse_creation(const char *path, int error, struct refusal *ret_why)
{
	switch (error) {
	case -EEXIST:
		return refuse(ret_why, STATUS_USAGE, path, "exists; name another file, or remove it");
	case -ENOSPC:
	case -EDQUOT:
		return refuse(ret_why, STATUS_NO_SPACE, path,
			      "no space for a new pool; free some, or name another directory");
	case -EFBIG:
		return refuse(ret_why, STATUS_NO_SPACE, path,
			      "its file system has no files of that size; choose a smaller size");
	case -EOPNOTSUPP:
		return refuse(ret_why, STATUS_INCOMPATIBLE, path,
			      "its file system cannot punch holes; use ext4, xfs, btrfs or tmpfs");
	case -ENOENT:
	case -ENOTDIR:
		return refuse(ret_why, STATUS_USAGE, path, "no such directory; make it first");
	case -EACCES:
	case -EPERM:
	case -EROFS:
		return refuse(ret_why, STATUS_USAGE, path,
			      "its directory is not writable; name another file");
	default:
		return refuse(ret_why, STATUS_USAGE, path,
			      "cannot be made: error %d (%s); name another file", -error,
			      strerrordesc_np(-error));
	}
}

int pool_create(const char *path, const struct pool_plan *plan, struct refusal *ret_why)
{
	struct creation creation = {.fd = -1};
	struct layout_superblock sb;
	char absolute[CONFIG_PATH_MAX];
	int status = pool_make_absolute(absolute, path, ret_why);

	if (status)
		return status;
	superblock_init(&sb, plan);
	status = verify_plan(&sb, plan, path, ret_why);
	if (!status)
		status = pool_check_directory(absolute, ret_why);
	if (status)
		return status;
	if (pool_exists(absolute))
		return refuse_creation(path, -EEXIST, ret_why);
	creation.path = absolute;
	pool_directory_of(creation.directory, absolute);
	int error = creation_open(&creation);
	if (!error && os_getrandom(sb.uuid, sizeof(sb.uuid)) < 0)
		error = -EIO;
	if (!error)
		error = write_empty_pool(creation.fd, &sb);
	if (!error)
		error = creation_publish(&creation);
	if (error) {
		creation_discard(&creation);
		return refuse_creation(path, error, ret_why);
	}
	os_close(creation.fd);
	/* A name lost with the power is a pool that was never made: no error to report. */
	pool_sync_directory(absolute);
	return 0;
}
