/*
 * The pool file: create, open, lock, identify, grow, close. What its bytes mean: layout.h.
 *
 * Every function that can refuse returns 0 or a positive enum status with *ret_why filled with
 * the one line a user sees; not one byte of a refused file has been changed. Statuses:
 *
 *   STATUS_USAGE         2  the path: nothing there, not a regular file, a symlink, several names
 *                           (hard links), another user's, writable by others, in a directory where
 *                           anybody may rename, not readable or writable by us; it exists (create);
 *                           a size or base that cannot be
 *   STATUS_BUSY          3  another owner, a checker, or children of its last owner use it
 *   STATUS_CORRUPT       4  not a pool, truncated, both superblocks torn, a field out of bounds,
 *                           unreadable
 *   STATUS_INCOMPATIBLE  5  newer version, unknown feature, other machine or page size, another
 *                           keep, a file system without locks or holes
 *   STATUS_NO_SPACE      6  disk or quota full, file larger than file system or RLIMIT_FSIZE allow
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "config.h"
#include "ending.h"
#include "layout.h"
#include "say.h"

struct control;

enum pool_access {
	POOL_READ,  /* no lock, nothing written: info, ls */
	POOL_ASK,   /* no lock, nothing written but the control page: checkpoint */
	POOL_CHECK, /* locked against owners, nothing written: check, rm */
	POOL_OWN,   /* the one writer; a busy lock is retried as DESIGN 2.8 says */
};

/* One open pool. One per process; its owner serialises calls. */
struct pool {
	char path[CONFIG_PATH_MAX]; /* absolute, to reopen after the program closed our fd */
	int fd;                     /* may be closed behind our back: use pool_fd() */
	dev_t dev;
	ino_t ino;
	enum pool_access access;
	int newest_slot;             /* which of the two superblocks `sb` came from */
	struct layout_superblock sb; /* the newest valid superblock, verified */
	uint64_t epoch_seen;         /* highest epoch number given, if its opener asked the log:
				      * pool_reset() lets the next life begin above it */
	struct ending ending;        /* POOL_OWN: of the run before */
	struct control *control;     /* mapped control page (control.h), NULL for POOL_CHECK */
	void *lock_page;             /* keeps the lock while the program closes our fd: pool-lock.c */
	uint32_t lends;              /* how often a child was about to see its bytes; atomic */
};

/* What a new pool shall be. */
struct pool_plan {
	uint64_t size_bytes; /* largest size of the heap's extent, sparse; rounded up to 2 MiB */
	uint64_t base;       /* address of its first byte, 2 MiB-aligned; 0: LAYOUT_BASE_DEFAULT */
};

/* pool_exists() - is there anything under this name, pool or not? Follows no symlink. */
bool pool_exists(const char *path);

/* pool_create() - make a new, empty pool; refuses when the path exists */
int pool_create(const char *path, const struct pool_plan *plan, struct refusal *ret_why);

/* pool_open() - open and verify, and for POOL_OWN lock and enter ourselves as owner */
int pool_open(struct pool *ret_pool, const char *path, enum pool_access access,
	      struct refusal *ret_why);

/* pool_name_owner() - what pool_open() enters as owner from now on: the keeper, by whose pid others
 * know this process. pool_process_start(): field 22 of /proc/PID/stat; 0: unknown */
void pool_name_owner(pid_t pid, uint64_t start_ticks);
uint64_t pool_process_start(int pid);
/* pool_process_lives() - is that one still there, and no zombie? */
bool pool_process_lives(int pid, uint64_t start_ticks);

/* pool_reload() - the superblock as it is now, for who reads while an owner may change it */
int pool_reload(struct pool *pool, struct refusal *ret_why);

/* pool_has_owner() - is somebody its owner now? Whoever checks it is not.
 * pool_has_views() - do forked children of an owner show its bytes? An owner
 * sees its own while it forks. */
bool pool_has_owner(const struct pool *pool);
bool pool_has_views(const struct pool *pool);

/* pool_lends() - if it is what it was before pool_has_views() said no, then nobody has been forked
 * since who shows its bytes; pool_note_lend(): before such a fork, when pool_has_views() */
static inline uint32_t pool_lends(const struct pool *pool)
{
	return __atomic_load_n(&pool->lends, __ATOMIC_SEQ_CST);
}
static inline void pool_note_lend(struct pool *pool)
{
	__atomic_add_fetch(&pool->lends, 1, __ATOMIC_SEQ_CST);
}

/* pool_refuse_views() - 0, or STATUS_BUSY if children still show its bytes after a second: whoever
 * is about to change home under them asks. keep=heap: only who empties it; others merge later. */
int pool_refuse_views(struct pool *pool, struct refusal *ret_why);

/* pool_fd() - a descriptor of this very file, reopened and locked again if the program closed or
 * replaced ours; -errno if it cannot be had */
int pool_fd(struct pool *pool);

/* pool_is_removed() - the file has no name any more: it ends with whoever has it open */
bool pool_is_removed(struct pool *pool);

/* pool_reopen() - one more descriptor of this very file, without the lock, or -errno; the caller
 * closes it. All mappings are made from such: a mapping keeps its description's lock, and a child
 * that inherits it would own the pool after our death. */
int pool_reopen(struct pool *pool);

/* pool_set_keep() - fix what is kept, at the first run; refuses another keep later (5) */
int pool_set_keep(struct pool *pool, enum keep keep, struct refusal *ret_why);

/* pool_grow() - a larger maximum size; a smaller or equal one is 0 and changes nothing */
int pool_grow(struct pool *pool, uint64_t size_bytes, struct refusal *ret_why);

/* pool_reset() - empty the pool: keep unset, a new uuid, heap extents punched out (--new) */
int pool_reset(struct pool *pool, struct refusal *ret_why);

/* pool_punch() - give the file's blocks of the heap's range [offset, offset+len) back */
int pool_punch(struct pool *pool, uint64_t offset, uint64_t len);

/* pool_empty() - make the whole heap read as zeros; fast when there is little in it */
int pool_empty(struct pool *pool);

/* Bytes of the heap's extent, and where in the file offset `offset` of the heap lies. */
uint64_t pool_size_bytes(const struct pool *pool);
uint64_t pool_file_offset(const struct pool *pool, uint64_t offset, uint64_t *ret_contiguous);

void pool_close(struct pool *pool);
/* pool_forget() - in a forked child: close our descriptors and mappings, touch no byte */
void pool_forget(struct pool *pool);
