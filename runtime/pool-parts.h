/* What the pool's own files share; nobody else includes this. */
#pragma once

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "pool.h"

/* 0, -EAGAIN when somebody else holds it, or another -errno */
int pool_lock_range(int fd, short type, uint64_t offset, uint64_t len);
/* Would a lock of this type on the range conflict with somebody else's? */
bool pool_range_is_locked(int fd, short type, uint64_t offset, uint64_t len);

/* How a pool file is opened: nothing followed, nothing inherited, nothing that blocks. */
#define POOL_OPEN_FLAGS (O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

/* pool_open_file() - a descriptor of a file that may be a pool by kind, owner, mode and links */
int pool_open_file(const char *path, bool is_writable, int *ret_fd, struct stat *ret_stat,
		   struct refusal *ret_why);


/* pool_judge_file() - that judgement alone */
int pool_judge_file(const char *path, const struct stat *st, struct refusal *ret_why);

/* pool_lock() - the lock pool->access needs, waiting for a holder as DESIGN 2.8 says; STATUS_BUSY
 * names a living one */
int pool_lock(struct pool *pool, struct refusal *ret_why);

/* pool_lock_pin() - map one page of fd's description, so that its lock outlives the descriptor but
 * not this process; replaces old_page when not NULL. NULL: cannot be had. */
void *pool_lock_pin(int fd, void *old_page);

/* pool_make_absolute() - path, or the working directory and path; refuses what is too long */
int pool_make_absolute(char *ret_path, const char *path, struct refusal *ret_why);

/* The directory of an absolute path. */
void pool_directory_of(char *ret_directory, const char *absolute);

/* pool_check_file_limit() - RLIMIT_FSIZE kills with SIGXFSZ whoever passes it: refuse first (6) */
int pool_check_file_limit(const char *path, uint64_t file_bytes, struct refusal *ret_why);

/* pool_check_directory() - may path's directory hold a pool? Not if all may rename in it. */
int pool_check_directory(const char *path, struct refusal *ret_why);

/* pool_sync_directory() - make the entry of path durable */
int pool_sync_directory(const char *path);
