/*
 * Record locks (fcntl, of a process or of a description), flock, and leases.
 *
 * The kernel tells a descriptor's locks at the price of reading a file for each; all of them stand
 * in /proc/locks, which takes 10 ms, and everybody's locks wait meanwhile. So it is asked only in
 * processes that have ever locked anything, which the wrapped calls say, or were given a descriptor
 * that was locked. They are locked again when all descriptors are there: closing any descriptor of
 * a file drops the process's locks on it.
 */
#include "files-lock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

#include "descriptor.h"
#include "os.h"
#include "ours.h"
#include "process.h"

#define INHERITED_MAX 64 /* descriptors */

enum lock_kind { LOCK_OF_PROCESS = 1, LOCK_OF_DESCRIPTION, LOCK_WHOLE, LOCK_LEASE };

/* LEDGER_LOCK: one lock, and a descriptor it can be had by. */
struct lock_record {
	uint32_t fd;
	uint32_t kind;
	uint32_t is_write;
	uint32_t reserved;
	uint64_t start;
	uint64_t len; /* 0: to the end, however far that is */
};

bool process_may_hold_locks, process_may_own_files;

/* "1: POSIX  ADVISORY  WRITE 29099 fe:00:10952880 5 14"; "1: ->": waits for it */
static bool parse(const char *at, struct lock_record *ret_lock, uint64_t *ret_ino)
{
	const char *const kind = strchr(at, ':') ? strchr(at, ':') + 1 : at;

	*ret_lock = (struct lock_record){0};
	if (strncmp(kind, " POSIX", 6) == 0)
		ret_lock->kind = LOCK_OF_PROCESS;
	else if (strncmp(kind, " OFDLCK", 7) == 0)
		ret_lock->kind = LOCK_OF_DESCRIPTION;
	else if (strncmp(kind, " FLOCK", 6) == 0)
		ret_lock->kind = LOCK_WHOLE;
	else
		return false;
	ret_lock->is_write = strstr(kind, " WRITE ") != NULL;
	const char *ino = strrchr(kind, ':');
	if (!ino)
		return false;
	ino++;
	*ret_ino = file_number(&ino, 10);
	ret_lock->start = file_number(&ino, 10);
	while (*ino == ' ')
		ino++;
	if (*ino != 'E') /* EOF */
		ret_lock->len = file_number(&ino, 10) - ret_lock->start + 1;
	return true;
}

void locks_open(void)
{
	static struct file_info info OURS;
	struct stat st;

	for (int fd = 0; fd < INHERITED_MAX && !process_may_hold_locks; fd++) {
		if (os_fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || !file_info_open(&info, fd))
			continue;
		while (file_info_next(&info))
			process_may_hold_locks |= file_info_word(&info, "lock:") != NULL;
		file_info_close(&info);
	}
}

/* One that is being taken away is what it will be then. */
static void save_lease(const struct file_record *record, struct ledger_writer *writer)
{
	const int lease = os_fcntl((int)record->fd, F_GETLEASE, NULL);

	if (lease != F_RDLCK && lease != F_WRLCK)
		return;
	struct lock_record *lock = ledger_put(writer, LEDGER_LOCK, sizeof(*lock));
	lock->fd = record->fd;
	lock->kind = LOCK_LEASE;
	lock->is_write = lease == F_WRLCK;
}

void locks_save(const struct file_record *record, struct ledger_writer *writer)
{
	static struct file_info info OURS;
	struct lock_record lock;
	const char *at;
	uint64_t ino;

	if (!process_may_hold_locks || !file_info_open(&info, (int)record->fd))
		return;
	while (file_info_next(&info)) {
		if (!(at = file_info_word(&info, "lock:")) || !parse(at, &lock, &ino))
			continue;
		lock.fd = record->fd;
		memcpy(ledger_put(writer, LEDGER_LOCK, sizeof(lock)), &lock, sizeof(lock));
	}
	file_info_close(&info);
	save_lease(record, writer);
}

static int lock_once(const struct lock_record *lock)
{
	struct flock range = {
		.l_type = lock->is_write ? F_WRLCK : F_RDLCK,
		.l_whence = SEEK_SET,
		.l_start = (off_t)lock->start,
		.l_len = (off_t)lock->len,
	};

	switch (lock->kind) {
	case LOCK_OF_PROCESS: return os_fcntl((int)lock->fd, F_SETLK, &range);
	case LOCK_OF_DESCRIPTION: return os_fcntl((int)lock->fd, F_OFD_SETLK, &range);
	case LOCK_WHOLE:
		return os_flock((int)lock->fd, (lock->is_write ? LOCK_EX : LOCK_SH) | LOCK_NB);
	case LOCK_LEASE:
		return os_fcntl((int)lock->fd, F_SETLEASE,
				(void *)(uintptr_t)(lock->is_write ? F_WRLCK : F_RDLCK));
	default: return -EINVAL;
	}
}

#define TRIES 40
#define PAUSE_NS 50000000

/* A child of the old process may still be dying. */
static int lock_again(const struct lock_record *lock)
{
	int error = lock_once(lock);

	for (int i = 1; i < TRIES && error == -EAGAIN; i++) {
		os_sleep_ns(PAUSE_NS);
		error = lock_once(lock);
	}
	return error;
}

int locks_make(const struct file_record *record, const struct ledger_reader *state)
{
	struct ledger_reader reader = {.bytes = state->bytes, .len = state->len};
	const struct lock_record *lock;
	int error = 0;
	size_t len;

	while (!error && (lock = ledger_next(&reader, LEDGER_LOCK, &len)))
		if (lock->fd == record->fd)
			error = lock_again(lock);
	return error < 0 ? error : 0;
}
