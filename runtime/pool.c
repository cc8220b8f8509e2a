/*
 * The problem: one file that holds somebody's data, opened by programs that crash, fork, close all
 * descriptors and start again. The trick: judge the file, lock it, verify it, in that order and on
 * one descriptor; change it only through the superblock not in use, with seq + 1, synced before
 * anything relies on it. The guarantee: a file that is refused is unchanged, and a change that
 * was interrupted has not happened.
 */
#include "pool.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "control.h"
#include "os.h"
#include "pool-parts.h"
#include "ours.h"
#include "superblock.h"

/* Set before the pool is opened. */
static struct {
	pid_t pid; /* 0: ourselves */
	uint64_t start_ticks;
} keeper OURS;

void pool_name_owner(pid_t pid, uint64_t start_ticks)
{
	keeper.pid = pid;
	keeper.start_ticks = start_ticks;
}

static void own_name(struct control_owner *owner)
{
	char line[256];
	long len = os_read_file("/proc/self/comm", line, sizeof(line) - 1);

	memset(owner, 0, sizeof(*owner));
	owner->pid = keeper.pid ? keeper.pid : os_getpid();
	owner->start_ticks = keeper.pid ? keeper.start_ticks : pool_process_start(owner->pid);
	while (len > 0 && line[len - 1] == '\n')
		len--;
	line[len > 0 ? len : 0] = 0;
	snprintf(owner->program, sizeof(owner->program), "%.63s", *line ? line : "a program");
}

static bool is_written(const struct pool *pool)
{
	return pool->access == POOL_OWN || pool->access == POOL_ASK;
}

static int map_control(struct pool *pool)
{
	int prot = is_written(pool) ? PROT_READ | PROT_WRITE : PROT_READ;
	int fd = pool_reopen(pool);

	if (fd < 0)
		return fd;
	void *page = os_mmap(NULL, sizeof(*pool->control), prot, MAP_SHARED, fd,
			     LAYOUT_CONTROL_OFFSET);
	os_close(fd);
	if (os_is_error(page))
		return (int)(intptr_t)page;
	pool->control = page;
	return 0;
}

/* While we waited for the lock, the last holder may have removed the file or its name. */
static int judge_again(struct pool *pool, struct stat *ret_stat, struct refusal *ret_why)
{
	int error = os_fstat(pool->fd, ret_stat);

	if (!error && ret_stat->st_nlink == 0)
		return refuse(ret_why, STATUS_USAGE, pool->path,
			      "was removed while we waited for it; run again");
	if (error)
		return refuse(ret_why, STATUS_CORRUPT, pool->path,
			      "cannot be read: error %d (%s); look at the disk", -error,
			      strerrordesc_np(-error));
	return pool_judge_file(pool->path, ret_stat, ret_why);
}

/* Children of a dead owner may still show the file's bytes in their memory: layout.h, locks. */
int pool_refuse_views(struct pool *pool, struct refusal *ret_why)
{
	/* A whole family killed at once: give the children the second their parent had. */
	for (int tries = 0; tries < 100; tries++) {
		if (!pool_has_views(pool))
			return 0;
		os_sleep_ns(UINT64_C(10000000));
	}
	return refuse(ret_why, STATUS_BUSY, pool->path,
		      "forked children of its last owner still use its memory; "
		      "end them, or use another pool");
}

static int pool_enter(struct pool *pool, struct stat *st, struct refusal *ret_why)
{
	int status = 0;

	if (pool->access == POOL_OWN || pool->access == POOL_CHECK) {
		status = pool_lock(pool, ret_why);
		if (!status)
			status = judge_again(pool, st, ret_why);
	}
	if (!status && pool->access == POOL_OWN) /* else the first write behind it is a SIGXFSZ */
		status = pool_check_file_limit(pool->path, (uint64_t)st->st_size, ret_why);
	if (!status)
		status = superblock_load(pool->fd, (uint64_t)st->st_size, pool->path, &pool->sb,
					 &pool->newest_slot, ret_why);
	if (!status && pool->access == POOL_OWN && !keep_has_epochs((enum keep)pool->sb.keep))
		status = pool_refuse_views(pool, ret_why);
	if (status || pool->access == POOL_CHECK)
		return status;
	int error = map_control(pool);
	if (error)
		return refuse(ret_why, STATUS_INCOMPATIBLE, pool->path,
			      "cannot be mapped: error %d (%s); raise the limits", -error,
			      strerrordesc_np(-error));
	if (pool->access == POOL_OWN) {
		struct control_owner self;
		own_name(&self);
		ending_read(&pool->ending, pool->control);
		pool->lock_page = pool_lock_pin(pool->fd, NULL);
		control_enter_owner(pool->control, &self, (enum keep)pool->sb.keep);
		if (keeper.pid)
			control_set_flag(pool->control, CONTROL_KEPT);
	}
	return 0;
}

int pool_open(struct pool *ret_pool, const char *path, enum pool_access access,
	      struct refusal *ret_why)
{
	struct pool *pool = ret_pool;
	struct stat st;

	memset(pool, 0, sizeof(*pool));
	pool->fd = -1;
	pool->access = access;
	int status = pool_make_absolute(pool->path, path, ret_why);
	if (!status)
		status = pool_check_directory(pool->path, ret_why);
	if (!status)
		status = pool_open_file(pool->path, is_written(pool), &pool->fd, &st, ret_why);
	if (status)
		return status;
	pool->dev = st.st_dev;
	pool->ino = st.st_ino;
	status = pool_enter(pool, &st, ret_why);
	if (status)
		pool_forget(pool);
	return status;
}

int pool_reload(struct pool *pool, struct refusal *ret_why)
{
	struct stat st;
	int error = os_fstat(pool->fd, &st);

	if (error)
		return refuse(ret_why, STATUS_CORRUPT, pool->path,
			      "cannot be read: error %d (%s); look at the disk", -error,
			      strerrordesc_np(-error));
	return superblock_load(pool->fd, (uint64_t)st.st_size, pool->path, &pool->sb,
			       &pool->newest_slot, ret_why);
}

static bool is_our_file(const struct pool *pool, int fd)
{
	struct stat st;

	return os_fstat(fd, &st) == 0 && st.st_dev == pool->dev && st.st_ino == pool->ino;
}

int pool_reopen(struct pool *pool)
{
	int flags = (is_written(pool) ? O_RDWR : O_RDONLY) | O_CLOEXEC;
	int fd = os_open(pool->path, flags | POOL_OPEN_FLAGS, 0);
	char self[32];

	if (fd >= 0 && is_our_file(pool, fd))
		return fd;
	if (fd >= 0)
		os_close(fd);
	/* Renamed since. Through /proc our descriptor leads to the file wherever it is now. */
	if (pool->fd < 0 || !is_our_file(pool, pool->fd))
		return -ENOENT;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", pool->fd);
	fd = os_open(self, flags, 0);
	if (fd >= 0 && !is_our_file(pool, fd)) {
		os_close(fd);
		return -ENOENT;
	}
	return fd;
}

/* The number may have been closed and given to another file, or even to another description of
 * ours (somebody else's open of the pool): dev and ino tell the first, and the second is harmless,
 * as the lock hangs on lock_page. */
int pool_fd(struct pool *pool)
{
	if (pool->fd >= 0 && is_our_file(pool, pool->fd))
		return pool->fd;
	pool->fd = -1; /* not ours to close */
	int fd = pool_reopen(pool);
	int moved = fd < 0 ? fd : os_fd_move(fd);
	if (moved < 0) {
		if (fd >= 0)
			os_close(fd);
		return moved;
	}
	fd = moved;
	if (pool->access == POOL_OWN) {
		void *page = pool_lock_pin(fd, pool->lock_page);
		if (page)
			pool->lock_page = page;
		int error = pool_lock_range(fd, F_WRLCK, LAYOUT_LOCK_OWNER_OFFSET,
					    LAYOUT_LOCK_OWNER_LEN);
		if (error) {
			os_close(fd);
			return error == -EAGAIN ? -EBUSY : error;
		}
	}
	pool->fd = fd;
	return fd;
}

/* Makes *sb the superblock that counts, or changes nothing. */
static int pool_update(struct pool *pool, struct layout_superblock *sb)
{
	int fd = pool_fd(pool);

	if (fd < 0)
		return fd;
	sb->seq = pool->sb.seq + 1;
	int error = superblock_store(fd, sb);
	if (!error) /* whatever the caller does next relies on this superblock */
		error = os_fdatasync(fd);
	if (error)
		return error;
	pool->sb = *sb;
	pool->newest_slot = (int)(sb->seq & 1);
	return 0;
}

static int refuse_write(struct pool *pool, int error, struct refusal *ret_why)
{
	if (error == -ENOSPC || error == -EDQUOT || error == -EFBIG)
		return refuse(ret_why, STATUS_NO_SPACE, pool->path,
			      "no space: error %d (%s); free some, or choose a smaller size",
			      -error, strerrordesc_np(-error));
	return refuse(ret_why, STATUS_CORRUPT, pool->path, "cannot be written: error %d (%s); "
		      "look at the disk", -error, strerrordesc_np(-error));
}

int pool_set_keep(struct pool *pool, enum keep keep, struct refusal *ret_why)
{
	struct layout_superblock sb = pool->sb;

	if (sb.keep == keep)
		return 0;
	if (sb.keep != KEEP_UNSET)
		return refuse(ret_why, STATUS_INCOMPATIBLE, pool->path,
			      "was made with keep %s, asked for keep %s; use that keep, or --new",
			      config_keep_name((enum keep)sb.keep), config_keep_name(keep));
	sb.keep = keep;
	int error = pool_update(pool, &sb);
	return error ? refuse_write(pool, error, ret_why) : 0;
}

static uint64_t file_end(const struct layout_superblock *sb)
{
	uint64_t end = LAYOUT_HEAD_BYTES;

	for (uint32_t i = 0; i < sb->extent_count; i++) {
		uint64_t extent_end = sb->extents[i].file_offset + sb->extents[i].len;
		end = extent_end > end ? extent_end : end;
	}
	return end;
}

/* Adds len bytes to the heap at the file's end: the last heap extent gets longer if it ends there,
 * else there is a new one. */
static bool extend_heap(struct layout_superblock *sb, uint64_t len)
{
	uint64_t end = file_end(sb);
	struct layout_extent *last = NULL;

	for (uint32_t i = 0; i < sb->extent_count; i++)
		if (sb->extents[i].use == LAYOUT_USE_HEAP)
			last = &sb->extents[i];
	sb->size_bytes += len;
	if (last && last->file_offset + last->len == end) {
		last->len += len;
		return true;
	}
	if (sb->extent_count == LAYOUT_EXTENT_MAX)
		return false;
	sb->extents[sb->extent_count++] = (struct layout_extent){
		.file_offset = end,
		.len = len,
		.use = LAYOUT_USE_HEAP,
	};
	return true;
}

int pool_grow(struct pool *pool, uint64_t size_bytes, struct refusal *ret_why)
{
	struct layout_superblock sb = pool->sb;

	if (size_bytes <= sb.size_bytes)
		return 0;
	if (size_bytes > LAYOUT_ADDRESS_END - sb.base)
		return refuse(ret_why, STATUS_USAGE, pool->path,
			      "a size of %llu bytes does not fit above base 0x%llx; "
			      "choose a smaller size",
			      (unsigned long long)size_bytes, (unsigned long long)sb.base);
	size_bytes = (size_bytes + LAYOUT_CHUNK_BYTES - 1) & ~(LAYOUT_CHUNK_BYTES - 1);
	if (!extend_heap(&sb, size_bytes - sb.size_bytes))
		return refuse(ret_why, STATUS_NO_SPACE, pool->path,
			      "its extent table is full; use a new pool");
	int status = pool_check_file_limit(pool->path, file_end(&sb), ret_why);
	if (status)
		return status;
	int fd = pool_fd(pool);
	struct stat st;
	int error = fd < 0 ? fd : os_fstat(fd, &st);
	if (!error && (uint64_t)st.st_size < file_end(&sb))
		error = os_ftruncate(fd, file_end(&sb));
	if (!error) /* a superblock must never promise more than the file has */
		error = os_fsync(fd);
	if (!error)
		error = pool_update(pool, &sb);
	return error ? refuse_write(pool, error, ret_why) : 0;
}

bool pool_is_removed(struct pool *pool)
{
	struct stat st;
	const int fd = pool_fd(pool);

	return fd >= 0 && os_fstat(fd, &st) == 0 && st.st_nlink == 0;
}

/* First the superblock: from then on the pool is empty, whatever is punched when we die. */
int pool_reset(struct pool *pool, struct refusal *ret_why)
{
	struct layout_superblock sb = pool->sb;
	int error = os_getrandom(sb.uuid, sizeof(sb.uuid));

	sb.keep = KEEP_UNSET;
	if (sb.epoch_base < sb.trim.epoch)
		sb.epoch_base = sb.trim.epoch;
	if (sb.epoch_base < pool->epoch_seen)
		sb.epoch_base = pool->epoch_seen;
	sb.attached = 0;
	sb.bulk = 1; /* what is punched below may not be by then */
	memset(&sb.trim, 0, sizeof(sb.trim)); /* under the new uuid no record of the old log is valid */
	if (!error)
		error = pool_update(pool, &sb);
	if (!error)
		error = pool_punch(pool, 0, sb.size_bytes);
	return error ? refuse_write(pool, error, ret_why) : 0;
}

int pool_punch(struct pool *pool, uint64_t offset, uint64_t len)
{
	int fd = pool_fd(pool);
	int error = fd < 0 ? fd : 0;

	while (!error && len) {
		uint64_t run;
		uint64_t at = pool_file_offset(pool, offset, &run);
		run = run < len ? run : len;
		error = os_fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, run);
		if (error == -EINTR) {
			error = 0;
			continue;
		}
		offset += run;
		len -= run;
	}
	return error;
}

uint64_t pool_size_bytes(const struct pool *pool)
{
	return pool->sb.size_bytes;
}

uint64_t pool_file_offset(const struct pool *pool, uint64_t offset, uint64_t *ret_contiguous)
{
	for (uint32_t i = 0; i < pool->sb.extent_count; i++) {
		const struct layout_extent *extent = &pool->sb.extents[i];
		if (extent->use != LAYOUT_USE_HEAP)
			continue;
		if (offset < extent->len) {
			*ret_contiguous = extent->len - offset;
			return extent->file_offset + offset;
		}
		offset -= extent->len;
	}
	say_die(pool->path, "offset %llu beyond the heap's end", (unsigned long long)offset);
}

void pool_close(struct pool *pool)
{
	if (pool->access == POOL_OWN && pool->control)
		control_leave_owner(pool->control);
	if (pool->lock_page)
		os_munmap(pool->lock_page, OS_PAGE_BYTES);
	pool_forget(pool);
}

/* lock_page is not unmapped: a child does not have it, and something else may stand there. */
void pool_forget(struct pool *pool)
{
	if (pool->control)
		os_munmap(pool->control, sizeof(*pool->control));
	if (pool->fd >= 0 && is_our_file(pool, pool->fd))
		os_close(pool->fd);
	pool->control = NULL;
	pool->lock_page = NULL;
	pool->fd = -1;
}
