/*
 * The problem: a pool has one owner, and the next one often comes while the last is still dying:
 * kill -9 returns at once, but a big process needs seconds to give its memory back, and minutes to
 * dump core. The trick: an open-file-description lock, which the kernel releases when the last
 * reference to the description is gone; whoever meets it reads the owner's name from the control
 * page and asks /proc whether it is alive or on its way out. The guarantee: kill -9 and run again
 * always works; a living owner is never disturbed and is named.
 *
 * A mapping is a reference too, and fork copies mappings. So the description that holds the lock
 * is mapped once, with MADV_DONTFORK (children do not keep the lock, the owner keeps it even if
 * the program closes all descriptors), and all real mappings are made from other descriptions.
 */
#include "pool-parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "control.h"
#include "os.h"

#define RETRY_NS UINT64_C(10000000)
#define PATIENCE_ANY_NS UINT64_C(1000000000)
#define PATIENCE_DYING_NS UINT64_C(30000000000)

#define PF_EXITING 0x4u /* include/linux/sched.h; field 9 of /proc/PID/stat shows it */
#define SIGKILL_BIT (UINT64_C(1) << (9 - 1))

/* UNSEEN: a keeper that is gone, or in another pid namespace */
enum holder_state { HOLDER_UNKNOWN, HOLDER_ALIVE, HOLDER_DYING, HOLDER_DUMPING, HOLDER_UNSEEN };

int pool_lock_range(int fd, short type, uint64_t offset, uint64_t len)
{
	struct flock lock = {
		.l_type = type,
		.l_whence = SEEK_SET,
		.l_start = (off_t)offset,
		.l_len = (off_t)len,
	};

	return os_fcntl(fd, F_OFD_SETLK, &lock);
}

bool pool_range_is_locked(int fd, short type, uint64_t offset, uint64_t len)
{
	struct flock lock = {
		.l_type = type,
		.l_whence = SEEK_SET,
		.l_start = (off_t)offset,
		.l_len = (off_t)len,
	};

	return os_fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

/* Asked as a reader: two checkers are in nobody's way. */
bool pool_has_owner(const struct pool *pool)
{
	return pool_range_is_locked(pool->fd, F_RDLCK, LAYOUT_LOCK_OWNER_OFFSET,
				    LAYOUT_LOCK_OWNER_LEN);
}

bool pool_has_views(const struct pool *pool)
{
	return pool_range_is_locked(pool->fd, F_WRLCK, LAYOUT_LOCK_VIEW_OFFSET,
				    LAYOUT_LOCK_VIEW_LEN);
}

/* The fields of /proc/PID/stat behind the program's name, which may hold any byte: the third field
 * is index 0. Returns how many there are. */
static int read_stat_fields(int pid, uint64_t *fields, int field_max, char *ret_state)
{
	char path[32], text[1024];
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	long len = os_read_file(path, text, sizeof(text) - 1);
	if (len <= 0)
		return 0;
	text[len] = 0;
	char *at = strrchr(text, ')');
	if (!at || at[1] != ' ' || !at[2])
		return 0;
	*ret_state = at[2];
	at += 3;
	int count = 1;
	while (count < field_max) {
		char *end;
		int saved_errno = errno;
		fields[count] = strtoull(at, &end, 10);
		errno = saved_errno;
		if (end == at)
			break;
		at = end;
		count++;
	}
	return count;
}

#define STAT_FLAGS 6  /* field 9 */
#define STAT_START 19 /* field 22 */
#define STAT_FIELDS 20

uint64_t pool_process_start(int pid)
{
	uint64_t fields[STAT_FIELDS];
	char state;

	return read_stat_fields(pid, fields, STAT_FIELDS, &state) == STAT_FIELDS ?
		       fields[STAT_START] :
		       0;
}

bool pool_process_lives(int pid, uint64_t start_ticks)
{
	uint64_t fields[STAT_FIELDS];
	char state;

	return read_stat_fields(pid, fields, STAT_FIELDS, &state) == STAT_FIELDS &&
	       fields[STAT_START] == start_ticks && state != 'Z' && state != 'X';
}

/* A number from a line like "ShdPnd:\t0000000000000100" of /proc/PID/status. */
static uint64_t status_number(const char *status, const char *name, int base)
{
	const char *line = strstr(status, name);
	int saved_errno = errno;
	uint64_t value = line ? strtoull(line + strlen(name), NULL, base) : 0;

	errno = saved_errno;
	return value;
}

static enum holder_state holder_state(const struct control_owner *owner, bool is_keeper)
{
	uint64_t fields[STAT_FIELDS];
	char path[32], status[4096], state;

	if (read_stat_fields(owner->pid, fields, STAT_FIELDS, &state) != STAT_FIELDS ||
	    fields[STAT_START] != owner->start_ticks)
		/* A keeper takes along whom it keeps, who may take longer to be gone. */
		return is_keeper ? HOLDER_UNSEEN : HOLDER_UNKNOWN;
	snprintf(path, sizeof(path), "/proc/%d/status", owner->pid);
	long len = os_read_file(path, status, sizeof(status) - 1);
	status[len > 0 ? len : 0] = 0;
	if (status_number(status, "\nCoreDumping:", 10))
		return HOLDER_DUMPING;
	uint64_t pending = status_number(status, "\nSigPnd:", 16) |
			   status_number(status, "\nShdPnd:", 16);
	if (state == 'Z' || state == 'X' || (fields[STAT_FLAGS] & PF_EXITING) ||
	    (pending & SIGKILL_BIT))
		return HOLDER_DYING;
	return HOLDER_ALIVE;
}

static bool read_owner(int fd, struct control_owner *ret_owner, bool *ret_is_keeper)
{
	struct control page;
	struct control_snapshot snapshot;

	if (os_pread_all(fd, &page, sizeof(page), LAYOUT_CONTROL_OFFSET) < 0 ||
	    control_read(&page, &snapshot) < 0 || !(snapshot.flags & CONTROL_RUNNING))
		return false;
	*ret_owner = snapshot.owner;
	*ret_is_keeper = (snapshot.flags & CONTROL_KEPT) != 0;
	return true;
}

static int refuse_busy(const struct pool *pool, enum holder_state state,
		       const struct control_owner *owner, struct refusal *ret_why)
{
	if (state == HOLDER_UNKNOWN)
		return refuse(ret_why, STATUS_BUSY, pool->path,
			      "in use by another process; wait until it ends");
	if (state == HOLDER_UNSEEN)
		return refuse(ret_why, STATUS_BUSY, pool->path,
			      "in use by %s, which pid %d keeps or kept, and which is not to be seen from here; "
			      "look for it in other containers, and what keeps it from ending",
			      owner->program, owner->pid);
	return refuse(ret_why, STATUS_BUSY, pool->path, "in use by %s, pid %d%s; %s",
		      owner->program, owner->pid,
		      state == HOLDER_DYING ? ", which has been dying for 30 s" : "",
		      state == HOLDER_DYING ? "look at what keeps it" : "stop it, or use another pool");
}

int pool_lock(struct pool *pool, struct refusal *ret_why)
{
	short type = pool->access == POOL_OWN ? F_WRLCK : F_RDLCK;
	uint64_t start_ns = os_clock_ns(CLOCK_MONOTONIC);
	bool has_told = false;

	for (;;) {
		struct control_owner owner;
		bool is_keeper;
		enum holder_state state = HOLDER_UNKNOWN;
		int error = pool_lock_range(pool->fd, type, LAYOUT_LOCK_OWNER_OFFSET,
					    LAYOUT_LOCK_OWNER_LEN);
		if (error == 0)
			return 0;
		if (error != -EAGAIN && error != -EACCES && error != -EINTR)
			return refuse(ret_why, STATUS_INCOMPATIBLE, pool->path,
				      "its file system has no locks: error %d (%s); "
				      "use ext4, xfs, btrfs or tmpfs",
				      -error, strerrordesc_np(-error));
		/* Whoever only checks it is not named by the page, which knows the last owner. */
		if (pool_has_owner(pool) && read_owner(pool->fd, &owner, &is_keeper))
			state = holder_state(&owner, is_keeper);
		uint64_t waited_ns = os_clock_ns(CLOCK_MONOTONIC) - start_ns;
		bool is_patient = waited_ns < PATIENCE_ANY_NS || state == HOLDER_DUMPING ||
				  ((state == HOLDER_DYING || state == HOLDER_UNSEEN) &&
				   waited_ns < PATIENCE_DYING_NS);
		if (!is_patient)
			return refuse_busy(pool, state, &owner, ret_why);
		if (state == HOLDER_DUMPING && !has_told) {
			say(SAY_WARN, pool->path, "waiting for %s, pid %d, which dumps core",
			    owner.program, owner.pid);
			has_told = true;
		}
		os_sleep_ns(RETRY_NS);
	}
}

void *pool_lock_pin(int fd, void *old_page)
{
	/* Over the old page, if there is one: this drops the last reference to its description. */
	void *page = os_mmap(old_page, OS_PAGE_BYTES, PROT_NONE,
			     MAP_SHARED | (old_page ? MAP_FIXED : 0), fd, 0);

	if (os_is_error(page))
		return NULL;
	os_madvise(page, OS_PAGE_BYTES, MADV_DONTFORK);
	return page;
}
