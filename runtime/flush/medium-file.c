/*
 * The problem: an append must be on media when it returns, within a quarter of a millisecond,
 * while the pages of a merge wait in the page cache of the same file; and the program may close
 * our descriptors at any time, and open its own files under their numbers. The trick: appends
 * have a description of their own, O_DIRECT, and RWF_DSYNC, which waits for its own bytes only,
 * while fdatasync would wait for everybody's; and before each use a descriptor is asked which
 * file it stands for. The guarantee: no byte goes to another file than the pool's, and none of it
 * without the owner's lock.
 *
 * Where O_DIRECT or RWF_DSYNC is refused, by trying, appends are slower and no less durable.
 */
#include "medium-file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os.h"
#include "ours.h"
#include "pool.h"

#define FD_UNKNOWN (-1)

static struct medium_file *file_of(struct medium *medium)
{
	return (struct medium_file *)medium; /* its first member */
}

static bool is_the_pool(const struct medium_file *file, int fd)
{
	struct stat st;

	return fd >= 0 && os_fstat(fd, &st) == 0 && st.st_dev == file->pool->dev &&
	       st.st_ino == file->pool->ino;
}

/* Refused at once by file systems that know no O_DIRECT, and by others only when it is used: so
 * read a block, which harms nobody. */
static bool accepts_direct(int fd)
{
	static char block[4096] __attribute__((aligned(4096))) OURS;

	return os_fcntl(fd, F_SETFL, (void *)(intptr_t)O_DIRECT) >= 0 &&
	       os_pread_all(fd, block, sizeof(block), 0) == 0;
}

static int log_fd_open(struct medium_file *file)
{
	int fd = pool_reopen(file->pool);

	if (fd < 0)
		return fd;
	int moved = os_fd_move(fd);
	fd = moved < 0 ? fd : moved;
	if (file->is_direct && !accepts_direct(fd)) {
		os_fcntl(fd, F_SETFL, (void *)(intptr_t)0);
		file->is_direct = false;
	}
	file->log_fd = fd;
	return fd;
}

static int log_fd(struct medium_file *file)
{
	return is_the_pool(file, file->log_fd) ? file->log_fd : log_fd_open(file);
}

static int file_read(struct medium *medium, void *buffer, size_t len, uint64_t offset)
{
	int fd = pool_fd(file_of(medium)->pool);

	return fd < 0 ? fd : os_pread_all(fd, buffer, len, offset);
}

static int file_write(struct medium *medium, const void *buffer, size_t len, uint64_t offset)
{
	int fd = pool_fd(file_of(medium)->pool);

	return fd < 0 ? fd : os_pwrite_all(fd, buffer, len, offset);
}

static int file_punch(struct medium *medium, uint64_t offset, uint64_t len)
{
	int fd = pool_fd(file_of(medium)->pool);
	int error;

	if (fd < 0)
		return fd;
	do
		error = os_fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, len);
	while (error == -EINTR);
	return error;
}

static int file_sync(struct medium *medium)
{
	int fd = pool_fd(file_of(medium)->pool);

	if (file_of(medium)->durability == DURABILITY_CACHE)
		return fd < 0 ? fd : 0;
	return fd < 0 ? fd : os_fdatasync(fd);
}

/* Whoever refuses to read so has been told at the opening: it is the way of appends. */
static int file_fetch(struct medium *medium, void *buffer, size_t len, uint64_t offset)
{
	struct medium_file *file = file_of(medium);
	const int fd = log_fd(file);

	return fd < 0 ? fd : os_pread_all(fd, buffer, len, offset);
}

static int append_buffered(struct medium_file *file, const void *buffer, size_t len,
			   uint64_t offset)
{
	int error = os_pwrite_all(file->log_fd, buffer, len, offset);

	return error ? error : os_fdatasync(file->log_fd);
}

static int file_append(struct medium *medium, const void *buffer, size_t len, uint64_t offset)
{
	struct medium_file *file = file_of(medium);
	int owned = pool_fd(file->pool); /* locked again, should the program have closed it */
	int fd = owned < 0 ? owned : log_fd(file);

	if (fd < 0)
		return fd;
	if (file->durability == DURABILITY_CACHE)
		return os_pwrite_all(fd, buffer, len, offset);
	if (!file->has_synced_write)
		return append_buffered(file, buffer, len, offset);
	int error = os_pwrite_synced(fd, buffer, len, offset);
	/* Refused as a whole, nothing was written: not a failure that could be forgotten. */
	if (error == -EOPNOTSUPP || error == -ENOSYS) {
		file->has_synced_write = false;
		return append_buffered(file, buffer, len, offset);
	}
	return error;
}

static int file_size(struct medium *medium, uint64_t *ret_bytes)
{
	struct stat st;
	int fd = pool_fd(file_of(medium)->pool);
	int error = fd < 0 ? fd : os_fstat(fd, &st);

	if (!error)
		*ret_bytes = (uint64_t)st.st_size;
	return error;
}

/* Beyond it ftruncate() is a signal that ends the program. */
static bool is_within_limit(uint64_t file_bytes)
{
	struct rlimit limit;

	return os_getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
	       file_bytes <= limit.rlim_cur;
}

static int file_extend(struct medium *medium, uint64_t file_bytes)
{
	uint64_t have;
	int error = file_size(medium, &have);

	if (error || have >= file_bytes)
		return error;
	if (!is_within_limit(file_bytes))
		return -EFBIG;
	int fd = pool_fd(file_of(medium)->pool);
	error = fd < 0 ? fd : os_ftruncate(fd, file_bytes);
	return error ? error : os_fsync(fd); /* the size is what a superblock will promise */
}

static int file_find_data(struct medium *medium, uint64_t *from, uint64_t *end)
{
	int fd = pool_fd(file_of(medium)->pool);

	if (fd < 0)
		return fd;
	const int64_t data = os_lseek(fd, (int64_t)*from, SEEK_DATA);
	if (data == -ENXIO || data >= (int64_t)*end) {
		*from = *end;
		return 0;
	}
	if (data < 0) /* holes are not told here: all of it may be data */
		return data == -EINVAL ? 0 : (int)data;
	const int64_t hole = os_lseek(fd, data, SEEK_HOLE);
	*from = (uint64_t)data;
	if (hole > data && hole < (int64_t)*end)
		*end = (uint64_t)hole;
	return 0;
}

static void view_close(struct medium_file *file)
{
	if (file->view)
		os_munmap((void *)file->view, file->view_bytes);
	file->view = NULL;
	file->view_bytes = 0;
}

/* All of the file as it is now; it never gets shorter. Not on tmpfs, where looking at a hole takes
 * memory, or SIGBUS if there is none. After mlockall(MCL_FUTURE) a mapping that can be read would
 * be filled at once, 64 GiB of it; so it can not, until it is unlocked. */
static void view_open(struct medium_file *file)
{
	struct statfs fs;
	struct stat st;
	const int fd = pool_reopen(file->pool);

	view_close(file);
	file->has_view = false;
	if (fd < 0)
		return;
	if (os_fstatfs(fd, &fs) == 0 && fs.f_type != TMPFS_MAGIC && os_fstat(fd, &st) == 0) {
		void *view = os_mmap(NULL, (uint64_t)st.st_size, PROT_NONE, MAP_SHARED | MAP_NORESERVE,
				     fd, 0);
		file->has_view = !os_is_error(view);
		if (file->has_view) {
			os_munlock(view, (uint64_t)st.st_size);
			os_mprotect(view, (uint64_t)st.st_size, PROT_READ);
			os_madvise(view, (uint64_t)st.st_size, MADV_DONTFORK);
			os_madvise(view, (uint64_t)st.st_size, MADV_DONTDUMP);
			file->view = view;
			file->view_bytes = (uint64_t)st.st_size;
		}
	}
	os_close(fd);
}

static const void *file_view(struct medium *medium, size_t len, uint64_t offset)
{
	struct medium_file *file = file_of(medium);

	if (offset + len > file->view_bytes && file->has_view)
		view_open(file);
	return offset + len <= file->view_bytes ? file->view + offset : NULL;
}

const struct medium_table medium_file_table = {
	.read = file_read,
	.write = file_write,
	.punch = file_punch,
	.sync = file_sync,
	.append = file_append,
	.extend = file_extend,
	.size = file_size,
	.find_data = file_find_data,
	.view = file_view,
	.fetch = file_fetch,
};

int medium_file_open(struct medium_file *ret_file, struct pool *pool, enum durability durability)
{
	*ret_file = (struct medium_file){
		.medium = {.table = &medium_file_table, .name = pool->path},
		.pool = pool,
		.log_fd = FD_UNKNOWN,
		.durability = durability,
		.is_direct = durability == DURABILITY_MEDIA,
		.has_synced_write = true,
		.has_view = true,
	};
	int fd = log_fd_open(ret_file);
	return fd < 0 ? fd : 0;
}

void medium_file_close(struct medium_file *file)
{
	if (is_the_pool(file, file->log_fd))
		os_close(file->log_fd);
	file->log_fd = FD_UNKNOWN;
	view_close(file);
}
