/*
 * The problem: an epoch on media outlives a power cut. What its program had written to its files
 * by then need not, for the system writes that down when it likes: a file may come back shorter
 * than the program knows it, or not at all if it was new, and nobody writes that output again. The
 * trick: files that look other than when they were last synced are synced before the epoch is made
 * durable, while threads run. The guarantee: what a file that is open at an epoch held then, it
 * holds after the power cut. A file that was closed before is as the system has it.
 *
 * An error that the disk has had with a file is told once to each who has opened it. Where we can
 * sync it by the program's own number alone, we hear in its place, and owe it to its next fsync().
 */
#include "files-written.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>

#include "descriptor.h"
#include "files.h"
#include "os.h"
#include "ours.h"
#include "process-parts.h"

#define DUE_MAX 256      /* of one epoch; for more of them everything is synced */
#define SYNCED_SLOTS 256 /* of which one is another's now and then: it is synced once too often */
#define PIECE_BYTES (UINT64_C(16) << 20)
#define PIECES_MAX 1024 /* of a file with nothing much in it that ends far away */
#define SAME_TIME_NS UINT64_C(20000000) /* two writes may have the same time, within a tick */

/* How a file looked when it was synced. */
struct synced {
	uint64_t dev, ino, size, mtime_ns;
};

static struct synced synced[SYNCED_SLOTS] OURS;
static struct due {
	const struct file_record *record;
	const char *path;
	struct synced looks;
} due[DUE_MAX] OURS;
static unsigned due_count OURS;
static int opened OURS;

/* What we have heard of a file and its program has not. `error` is set last, and taken by who makes
 * it 0. More of them at once is a disk that is gone: the program will hear. `asked` is the file we
 * may hear of now: who has synced it meanwhile waits until we have. */
#define OWED_MAX 8
#define ASKED_WAIT_NS 100000000
static struct owed {
	uint64_t dev, ino;
	int error;
} owed[OWED_MAX] OURS;
static uint64_t asked_dev OURS, asked_ino OURS;
static uint32_t is_asking OURS;
bool process_owes_errors OURS;

static struct synced *slot_of(uint64_t ino)
{
	return &synced[ino % SYNCED_SLOTS];
}

void written_begin(void)
{
	due_count = 0;
}

void written_note(const struct file_record *record, const char *path, uint64_t size,
		  uint64_t mtime_ns)
{
	const struct synced looks = {record->dev, record->ino, size, mtime_ns};

	if (__builtin_memcmp(slot_of(record->ino), &looks, sizeof(looks)) == 0)
		return;
	if (due_count < DUE_MAX)
		due[due_count] = (struct due){record, path, looks};
	due_count++;
}

static bool is_that_file(int fd, const struct synced *looks)
{
	struct stat st;

	return os_fstat(fd, &st) == 0 && st.st_dev == looks->dev && st.st_ino == looks->ino;
}

/* A description of our own: an error that the program's has to tell is the program's to hear. One
 * that may be had for reading only, or for writing only. Not where there are locks: to open a file
 * is to take its lease away, and to close it, all locks (fcntl) this process has on it. */
static int open_that(const struct due *file)
{
	const int number = (int)file->record->fd, how = O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	int fd = -ENOENT;

	if (process_may_hold_locks)
		return -EAGAIN;
	for (int i = 0; i < 4; i++) {
		const int access = how | (i % 2 ? O_WRONLY : O_RDONLY);
		fd = i < 2 ? file_reopen(number, access) : os_open(file->path, access, 0);
		if (fd >= 0 && is_that_file(fd, &file->looks))
			break;
		if (fd >= 0)
			os_close(fd);
		fd = -ENOENT;
	}
	return fd < 0 ? fd : os_fd_move(fd); /* low numbers are the program's */
}

/* What was written behind its old end goes in pieces: who writes more than the disk takes, and then
 * ends, is not to wait until all of it is there. Once it has ended nothing is to go on with it. */
static int sync_through(int fd, const struct due *file)
{
	const struct synced *old = slot_of(file->looks.ino);
	const bool is_known = old->dev == file->looks.dev && old->ino == file->looks.ino;
	const uint64_t size = file->looks.size, from = is_known ? old->size : 0;
	const uint64_t len = size > from ? size - from : 0;
	const uint64_t piece = len / PIECES_MAX > PIECE_BYTES ? len / PIECES_MAX : PIECE_BYTES;

	for (uint64_t at = 0; at < len; at += piece) {
		if (process_self.has_ended)
			return -ECANCELED;
		os_sync_piece(fd, from + at, piece);
	}
	const int error = process_self.has_ended ? -ECANCELED : os_fsync(fd);
	return error == -EINVAL ? 0 : error; /* it has no media */
}

static void owe(const struct due *file, int error)
{
	for (unsigned i = 0; i < OWED_MAX; i++) {
		if (__atomic_load_n(&owed[i].error, __ATOMIC_ACQUIRE))
			continue;
		owed[i].dev = file->looks.dev;
		owed[i].ino = file->looks.ino;
		__atomic_store_n(&owed[i].error, error, __ATOMIC_RELEASE);
		return;
	}
}

static void begin_asking(const struct due *file)
{
	asked_dev = file->looks.dev;
	asked_ino = file->looks.ino;
	__atomic_store_n(&process_owes_errors, true, __ATOMIC_RELEASE);
	__atomic_store_n(&is_asking, 1, __ATOMIC_SEQ_CST);
}

static void end_asking(void)
{
	__atomic_store_n(&is_asking, 0, __ATOMIC_RELEASE);
	os_futex_wake(&is_asking, INT_MAX);
}

/* A thread that waits here and goes on in another life finds that nobody is asking. */
static void wait_for_answer(const struct stat *st)
{
	const struct timespec patience = {.tv_nsec = ASKED_WAIT_NS};

	while (__atomic_load_n(&is_asking, __ATOMIC_ACQUIRE) && asked_dev == st->st_dev &&
	       asked_ino == st->st_ino)
		os_futex_wait(&is_asking, 1, &patience);
}

int process_take_error(int fd)
{
	struct stat st;

	if (os_fstat(fd, &st) != 0)
		return 0;
	wait_for_answer(&st);
	for (unsigned i = 0; i < OWED_MAX; i++) {
		int error = __atomic_load_n(&owed[i].error, __ATOMIC_ACQUIRE);
		if (error && owed[i].dev == st.st_dev && owed[i].ino == st.st_ino &&
		    __atomic_compare_exchange_n(&owed[i].error, &error, 0, false, __ATOMIC_ACQ_REL,
						__ATOMIC_RELAXED))
			return error;
	}
	return 0;
}

/* Threads run: by the time it is synced the number may be another file's. */
static int sync_by_number(const struct due *file)
{
	const int number = (int)file->record->fd;

	begin_asking(file);
	const int error = is_that_file(number, &file->looks) ? sync_through(number, file) : 0;
	const bool is_still_it = is_that_file(number, &file->looks);
	if (is_still_it && error && error != -ECANCELED)
		owe(file, error);
	end_asking();
	if (is_still_it)
		return error;
	os_sync(); /* closed since, and renamed: it is somewhere */
	return 0;
}

static int sync_file(const struct due *file)
{
	const int fd = open_that(file);

	if (fd < 0)
		return sync_by_number(file);
	opened = fd;
	ours_fd_add(&opened); /* a child that is forked meanwhile closes it */
	const int error = sync_through(fd, file);
	if (process_may_hold_locks) /* by now: it stays open, the last of its kind */
		return error;
	os_close(opened);
	opened = -1;
	return error == -EBADF ? sync_by_number(file) : error; /* a program that closes all of them */
}

static void say_error(const struct due *file, int error)
{
	static bool is_said OURS;
	char text[128];
	struct line fact = line_in(text, sizeof(text));

	if (is_said)
		return;
	is_said = true;
	line_add(&fact, "cannot be synced: ");
	line_add_error(&fact, error);
	line_add(&fact, "; a power cut may undo output");
	file_notice(file->path, text);
}

void files_sync(void)
{
	const uint64_t now_ns = os_clock_ns(CLOCK_REALTIME);

	if (due_count > DUE_MAX && !process_self.has_ended)
		os_sync();
	for (unsigned i = 0; i < due_count && due_count <= DUE_MAX; i++) {
		const int error = process_self.has_ended ? -ECANCELED : sync_file(&due[i]);
		if (error == -ECANCELED)
			break;
		if (error)
			say_error(&due[i], error);
		else if (now_ns - due[i].looks.mtime_ns + SAME_TIME_NS > 2 * SAME_TIME_NS) /* or ahead */
			*slot_of(due[i].looks.ino) = due[i].looks;
	}
	due_count = 0;
}
