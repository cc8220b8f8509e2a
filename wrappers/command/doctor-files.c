/*
 * What `heapsake doctor` says of the directory a pool will be in: tried on a file of its own
 * without a name, so that nothing is left behind whatever happens.
 */
#include "doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/stat.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "command.h"
#include "layout.h"
#include "os.h"

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif
#define NFS_MAGIC 0x6969
#define CIFS_MAGIC 0xff534d42u

#define PROBE_BYTES (4 * LAYOUT_CHUNK_BYTES)

struct file_system {
	long magic;
	const char *name;
	enum verdict verdict;
	const char *fact;
};

static const struct file_system file_systems[] = {
	{EXT4_SUPER_MAGIC, "ext4", VERDICT_OK, "a pool here survives the end of the program"},
	{XFS_SUPER_MAGIC, "xfs", VERDICT_OK, "a pool here survives the end of the program"},
	{BTRFS_SUPER_MAGIC, "btrfs", VERDICT_OK, "a pool here survives the end of the program"},
	{TMPFS_MAGIC, "tmpfs", VERDICT_WARN,
	 "memory: durability is cache; a pool here survives kill -9, but not a reboot"},
	{OVERLAYFS_SUPER_MAGIC, "overlayfs", VERDICT_WARN,
	 "a container's layer: a pool here goes with the container"},
	{FUSE_SUPER_MAGIC, "fuse", VERDICT_WARN,
	 "not tried by us; locks and holes are up to its server"},
	{NFS_MAGIC, "nfs", VERDICT_WARN,
	 "a network: another machine can change the file under a program"},
	{(long)CIFS_MAGIC, "cifs", VERDICT_WARN,
	 "a network: another machine can change the file under a program"},
};

static void look_at_type(struct doctor *doctor, const char *path)
{
	struct statfs fs;

	if (statfs(path, &fs) < 0)
		return;
	for (unsigned i = 0; i < sizeof(file_systems) / sizeof(file_systems[0]); i++) {
		if (file_systems[i].magic != (long)fs.f_type)
			continue;
		doctor_tell(doctor, file_systems[i].verdict, "file system", NULL, "%s, %s",
			    file_systems[i].name, file_systems[i].fact);
		return;
	}
	doctor_tell(doctor, VERDICT_WARN, "file system", "use ext4, xfs, btrfs or tmpfs",
		    "of unknown kind 0x%lx", (unsigned long)fs.f_type);
}

static void look_at_space(struct doctor *doctor, const char *path)
{
	struct statvfs fs;
	char size[TEXT_SIZE_BYTES];

	if (statvfs(path, &fs) < 0)
		return;
	uint64_t free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (free_bytes >= LAYOUT_HEAP_MIN_BYTES)
		doctor_tell(doctor, VERDICT_OK, "free space", NULL, "%s",
			    text_size(free_bytes, size));
	else
		doctor_tell(doctor, VERDICT_NO, "free space",
			    "free some, or use another directory", "%s",
			    text_size(free_bytes, size));
}

static int open_nameless(const char *path)
{
	char name[PATH_MAX + 32];
	int fd = open(path, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
		return fd;
	snprintf(name, sizeof(name), "%s/.heapsake-doctor-XXXXXX", path);
	fd = mkostemp(name, O_CLOEXEC);
	if (fd >= 0)
		unlink(name);
	return fd;
}

static uint64_t disk_bytes(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 ? (uint64_t)st.st_blocks * 512 : UINT64_MAX;
}

static void tell_tried(struct doctor *doctor, bool has_worked, const char *what,
		       const char *fact)
{
	if (has_worked)
		doctor_tell(doctor, VERDICT_OK, what, NULL, "%s", fact);
	else
		doctor_tell(doctor, VERDICT_NO, what, "use ext4, xfs, btrfs or tmpfs",
			    "not on this file system");
}

static bool try_lock(int fd)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};

	return fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

static void look_at_reflink(struct doctor *doctor, const char *path, int fd)
{
	int copy = open_nameless(path);

	if (copy >= 0 && ioctl(copy, FICLONE, fd) == 0)
		doctor_tell(doctor, VERDICT_OK, "reflink", NULL,
			    "a copy of a pool (cp --reflink) is instant");
	else
		doctor_tell(doctor, VERDICT_OK, "reflink", NULL,
			    "none: a copy of a pool takes its size");
	if (copy >= 0)
		close(copy);
}

static void look_at_dax(struct doctor *doctor, int fd)
{
	struct statx st;
	bool is_dax = statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &st) == 0 &&
		      (st.stx_attributes & STATX_ATTR_DAX);

	doctor_tell(doctor, VERDICT_OK, "DAX", NULL, "%s",
		    is_dax ? "yes: memory is mapped directly" : "no: an ordinary file");
}

/* As commits are written: past the page cache, waiting for these bytes alone. -errno: refused. */
static int try_append(int fd, bool is_direct)
{
	static char block[LAYOUT_BLOCK_BYTES] __attribute__((aligned(4096)));
	struct iovec piece = {block, sizeof(block)};
	int flags = fcntl(fd, F_GETFL);

	if (fcntl(fd, F_SETFL, is_direct ? flags | O_DIRECT : flags) < 0)
		return -errno;
	int error = pwritev2(fd, &piece, 1, 0, RWF_DSYNC) == sizeof(block) ? 0 : -errno;
	fcntl(fd, F_SETFL, flags);
	return error;
}

static int compare_numbers(const void *a, const void *b)
{
	int64_t order = *(const int64_t *)a - *(const int64_t *)b;

	return (order > 0) - (order < 0);
}

static int64_t median_append_us(int fd, bool is_direct)
{
	int64_t times_us[21];

	for (unsigned i = 0; i < 21; i++) {
		uint64_t start_ns = os_clock_ns(CLOCK_MONOTONIC);
		try_append(fd, is_direct);
		times_us[i] = (int64_t)(os_clock_ns(CLOCK_MONOTONIC) - start_ns) / 1000;
	}
	qsort(times_us, 21, sizeof(times_us[0]), compare_numbers);
	return times_us[10];
}

static void look_at_commits(struct doctor *doctor, int fd)
{
	int error = try_append(fd, true);
	bool is_direct = !error;

	if (error)
		error = try_append(fd, false);
	if (error)
		doctor_tell(doctor, VERDICT_WARN, "commits", "use ext4, xfs or tmpfs",
			    "neither O_DIRECT nor RWF_DSYNC: %s; each epoch of keep heap waits for "
			    "all that is being written", strerror(-error));
	else
		doctor_tell(doctor, is_direct ? VERDICT_OK : VERDICT_WARN, "commits",
			    is_direct ? NULL : "use ext4 or xfs on a disk",
			    "%sRWF_DSYNC, %lld us for 4K", is_direct ? "O_DIRECT and " :
			    "O_DIRECT is refused; ", (long long)median_append_us(fd, is_direct));
}

static void look_at_features(struct doctor *doctor, const char *path, int fd)
{
	off_t offset = (off_t)LAYOUT_CHUNK_BYTES, len = (off_t)LAYOUT_CHUNK_BYTES;
	bool has_holes =
		ftruncate(fd, (off_t)PROBE_BYTES) == 0 && disk_bytes(fd) < LAYOUT_CHUNK_BYTES;

	tell_tried(doctor, has_holes, "holes", "an unused pool takes no space");
	bool has_allocate = fallocate(fd, 0, offset, len) == 0;
	if (!has_allocate && (errno == ENOSPC || errno == EDQUOT)) {
		doctor_tell(doctor, VERDICT_NO, "fallocate", "free some space", "%s",
			    strerror(errno));
		return;
	}
	tell_tried(doctor, has_allocate, "fallocate", "space is taken before it is used");
	bool has_punch =
		fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, len) == 0 &&
		disk_bytes(fd) < LAYOUT_CHUNK_BYTES;
	tell_tried(doctor, has_punch, "hole punch", "memory given back leaves the file");
	tell_tried(doctor, try_lock(fd), "locks", "a pool has one owner");
	look_at_commits(doctor, fd);
	look_at_reflink(doctor, path, fd);
	look_at_dax(doctor, fd);
}

void doctor_look_at_directory(struct doctor *doctor, const char *path)
{
	char absolute[PATH_MAX];
	struct stat st;

	if (!realpath(path, absolute) || stat(absolute, &st) < 0) {
		doctor_tell(doctor, VERDICT_NO, "directory", "make it first", "%s: %s", path,
			    strerror(errno));
		return;
	}
	if ((st.st_mode & S_IWOTH) && !(st.st_mode & S_ISVTX))
		doctor_tell(doctor, VERDICT_NO, "directory", "chmod o-w it",
			    "%s: anybody may replace files in it", absolute);
	int fd = open_nameless(absolute);
	if (fd < 0) {
		doctor_tell(doctor, VERDICT_NO, "directory",
			    "use another directory for the pool",
			    "%s: no file can be made in it: %s", absolute, strerror(errno));
		return;
	}
	doctor_tell(doctor, VERDICT_OK, "directory", NULL, "%s", absolute);
	look_at_type(doctor, absolute);
	look_at_space(doctor, absolute);
	look_at_features(doctor, absolute, fd);
	close(fd);
}
