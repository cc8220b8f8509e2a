/*
 * A table of descriptors made again in a new process.
 *
 * The caller's 0-2 are put aside under high numbers, ours that stand where the image has one are
 * moved, everything else is closed; then descriptors are made in ascending order, each under
 * whatever number the kernel gives and moved to its own at once, so that the next finds room. What
 * shares a description is a duplicate of the lowest that has it. Locks and the entries of epolls
 * come last, when everything they name is there.
 */
#include "files.h"

#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "descriptor.h"
#include "files-kind.h"
#include "os.h"
#include "ours.h"
#include "threads-parts.h"

#define SPARE 64 /* numbers we may need */

/* Flags that F_SETFL sets; the others were given at the open. */
#define SETTABLE (O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME | O_ASYNC)

/* The caller's 0-2, put aside; -1: there was none. */
static int callers[3] OURS = {-1, -1, -1};

static const struct file_record *next(struct ledger_reader *reader)
{
	size_t len;
	const struct file_record *record = ledger_next(reader, LEDGER_FILE, &len);

	if (!record || len < sizeof(*record) || len < sizeof(*record) + record->part_len ||
	    !file_kind_of(record->kind))
		return NULL;
	return record;
}

const struct file_record *file_first(const struct ledger_reader *state, uint32_t kind, uint64_t dev,
				     uint64_t ino)
{
	struct ledger_reader reader = {.bytes = state->bytes, .len = state->len};
	const struct file_record *record;

	while ((record = next(&reader)))
		if (record->kind == kind && record->dev == dev && record->ino == ino && !record->callers)
			return record;
	return NULL;
}

int file_place(int made, int fd, bool is_cloexec)
{
	if (made == fd)
		return os_fcntl(fd, F_SETFD, (void *)(intptr_t)(is_cloexec ? FD_CLOEXEC : 0));
	int error = os_dup3(made, fd, is_cloexec ? O_CLOEXEC : 0);
	os_close(made);
	return error < 0 ? error : 0;
}

int files_stderr(void)
{
	return callers[2] < 0 ? 2 : callers[2];
}

void files_let_stderr_go(void)
{
	if (callers[2] >= 0)
		os_close(callers[2]);
	callers[2] = -1;
}

/* While descriptors are made, stderr may be a file that is yet to be cut back: lines wait. */
static struct {
	bool is_waiting;
	size_t len;
	char text[4 * FILE_PATH_MAX];
} notices OURS;

static void write_notices(void)
{
	notices.is_waiting = false;
	if (notices.len)
		os_write(files_stderr(), notices.text, notices.len);
	notices.len = 0;
}

void file_notice(const char *object, const char *fact)
{
	const size_t before = notices.len;
	struct line line = {notices.text, sizeof(notices.text), notices.len};

	if (file_is_quiet)
		return;
	line_add(&line, "heapsake: ");
	line_add(&line, object);
	line_add(&line, ": ");
	line_add(&line, fact);
	line_add(&line, "\n");
	notices.len = line.len + 1 < line.size ? line.len : before;
	if (!notices.is_waiting)
		write_notices();
}

int files_check(const struct ledger_reader *state, struct refusal *ret_why)
{
	struct ledger_reader reader = {.bytes = state->bytes, .len = state->len};
	const struct file_record *record;
	int status = 0;

	while (!status && (record = next(&reader))) {
		const struct file_kind *kind = file_kind_of(record->kind);
		if (kind->check && !record->callers && record->shares == record->fd)
			status = kind->check(record, state, ret_why);
	}
	return status;
}

/* ---- room ---- */

static bool is_recorded(const struct ledger_reader *state, int fd)
{
	struct ledger_reader reader = {.bytes = state->bytes, .len = state->len};
	const struct file_record *record;

	while ((record = next(&reader)))
		if (record->fd >= (uint32_t)fd)
			return record->fd == (uint32_t)fd;
	return false;
}

/* A number the image has not, out of the way, under the limit: above all recorded ones if that can
 * be, else any that is free. Where to begin to look for one. */
static int aside_of(const struct ledger_reader *state)
{
	struct ledger_reader reader = {.bytes = state->bytes, .len = state->len};
	const struct file_record *record;
	struct rlimit limit = {.rlim_cur = 0};
	int highest = 2;

	os_getrlimit(RLIMIT_NOFILE, &limit);
	while ((record = next(&reader)))
		highest = (int)record->fd; /* they ascend */
	if (highest < 512 && limit.rlim_cur > 512 + SPARE)
		return 512;
	if (limit.rlim_cur > (rlim_t)highest + SPARE)
		return highest + 1;
	for (int fd = highest; fd > 2; fd--)
		if (!is_recorded(state, fd) && os_fcntl(fd, F_GETFD, NULL) == -EBADF)
			return fd;
	return highest + 1;
}

/* Everything there is but ours, the caller's, and what was put aside. The kernel goes on by number,
 * so what is closed while it is read does no harm. */
static int close_others(void)
{
	static char names[4096] __attribute__((aligned(8))) OURS;
	struct {
		uint64_t ino, next;
		uint16_t len;
		uint8_t type;
	} head;
	const int directory = os_open("/proc/thread-self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	long len;

	if (directory < 0)
		return directory;
	while ((len = os_getdents(directory, names, sizeof(names))) > 0)
		for (long at = 0; at < len; at += head.len) {
			memcpy(&head, names + at, sizeof(head));
			const char *name = names + at + 19; /* behind the type */
			if (*name < '0' || *name > '9')
				continue;
			const int fd = (int)file_number(&name, 10);
			const bool is_aside = fd == callers[0] || fd == callers[1] ||
					      fd == callers[2];
			if (fd > 2 && fd != directory && !is_aside && !ours_fd_has(fd))
				os_close(fd);
		}
	os_close(directory);
	return (int)len;
}

static int make_room(const struct ledger_reader *state)
{
	struct ledger_reader reader = {.bytes = state->bytes, .len = state->len};
	const struct file_record *record;
	int error = 0;

	while (!error && (record = next(&reader)))
		if (ours_fd_has((int)record->fd))
			error = ours_fd_clear((int)record->fd, aside_of(state));
	for (int fd = 0; fd < 3 && !error; fd++) {
		callers[fd] = os_fcntl(fd, F_DUPFD_CLOEXEC, (void *)(intptr_t)aside_of(state));
		if (callers[fd] == -EBADF)
			callers[fd] = -1;
		else if (callers[fd] < 0)
			error = callers[fd];
		if (!is_recorded(state, fd))
			os_close(fd);
	}
	return error ? error : close_others();
}

/* ---- one descriptor ---- */

static int set_status(const struct file_record *record, int fd)
{
	const int now = os_fcntl(fd, F_GETFL, NULL);
	const int wanted = (now & ~SETTABLE) | ((int)record->status & SETTABLE);

	if (now < 0 || (record->status & O_PATH))
		return now < 0 ? now : 0;
	if (record->owner_signal)
		os_fcntl(fd, F_SETSIG, (void *)(intptr_t)record->owner_signal);
	return now == wanted ? 0 : os_fcntl(fd, F_SETFL, (void *)(intptr_t)wanted);
}

static bool is_terminal(int fd)
{
	struct termios termios;

	return fd >= 0 && os_ioctl(fd, TCGETS, &termios) >= 0;
}

int file_callers_terminal(int flags)
{
	for (int i = 0; i < 3; i++)
		if (is_terminal(callers[i]))
			return file_reopen(callers[i], flags);
	return -ENXIO;
}

/* Is `shared`, made already, a description of the same terminal that can do as much? */
static bool is_as_good(int shared, int from, int access)
{
	struct stat x, y;

	return os_fstat(shared, &x) == 0 && os_fstat(from, &y) == 0 && x.st_rdev == y.st_rdev &&
	       is_terminal(shared) && (os_fcntl(shared, F_GETFL, NULL) & O_ACCMODE) == access;
}

/* Who waits another way by it than the caller does has opened it for itself, mostly: the caller's
 * description is others', too. What shared one shares it again. -errno: let it have the caller's */
static int open_terminal(const struct file_record *record, int from)
{
	const int now = os_fcntl(from, F_GETFL, NULL), status = (int)record->status;
	const int access = (record->fd > 2 ? status : now) & O_ACCMODE;
	const int wanted = access | (status & (O_NONBLOCK | O_ASYNC));

	if (record->shares != record->fd && is_as_good((int)record->shares, from, access))
		return os_fcntl((int)record->shares, F_DUPFD_CLOEXEC, NULL);
	if (!((now ^ wanted) & (O_ACCMODE | O_NONBLOCK | O_ASYNC)))
		return -EALREADY;
	return file_reopen(from, access | (status & O_NONBLOCK));
}

/* The caller's own description; but a terminal the program had opened another way, it opens so. */
static int take_callers(const struct file_record *record, int from)
{
	if (from < 0)
		return os_open("/dev/null", O_RDWR | O_CLOEXEC, 0);
	const int opened = record->kind == FILE_TTY && is_terminal(from) ?
				   open_terminal(record, from) : -ENOTTY;
	return opened >= 0 ? opened : os_fcntl(from, F_DUPFD_CLOEXEC, NULL);
}

static bool is_that_file(const struct file_record *record, int fd)
{
	struct stat st;

	return os_fstat(fd, &st) == 0 && st.st_dev == record->dev && st.st_ino == record->ino;
}

/* Who starts a pipeline again gives it its beginning again, of which the program has read some. */
static void tell_of_input(const struct file_record *record, int fd)
{
	if (record->callers != 1 || record->shares != record->fd ||
	    (record->status & O_ACCMODE) == O_WRONLY)
		return;
	if (record->kind == FILE_PIPE || record->kind == FILE_SOCKET)
		file_notice("stdin", "was no file, and cannot be read on; what it gives now comes "
			    "after what had been read");
	else if (record->kind == FILE_REGULAR && record->offset > 0 && !is_that_file(record, fd))
		file_notice("stdin", "is not the file that was being read; what it gives now comes "
			    "after what had been read");
}

/* The caller's own way of opening it stays (>>), but for what the program waits by. */
static int adopt(const struct file_record *record, struct line *why)
{
	const struct file_kind *kind = file_kind_of(record->kind);
	const int made = take_callers(record, callers[record->callers - 1]);

	if (made < 0)
		return made;
	const int now = os_fcntl(made, F_GETFL, NULL);
	const int differs = (now ^ (int)record->status) & (O_NONBLOCK | O_ASYNC);
	if (differs)
		os_fcntl(made, F_SETFL, (void *)(intptr_t)(now ^ differs));
	if (record->status & O_ASYNC && record->owner_signal)
		os_fcntl(made, F_SETSIG, (void *)(intptr_t)record->owner_signal);
	tell_of_input(record, made);
	int error = kind->adopt ? kind->adopt(record, made, why) : 0;
	int placed = file_place(made, (int)record->fd, record->is_cloexec);
	return error ? error : placed;
}

static int make(const struct file_record *record, const struct ledger_reader *state,
		struct line *why)
{
	if (record->callers)
		return adopt(record, why);
	if (record->shares != record->fd) {
		int error = os_dup3((int)record->shares, (int)record->fd,
				    record->is_cloexec ? O_CLOEXEC : 0);
		return error < 0 ? error : 0;
	}
	int made = file_kind_of(record->kind)->make(record, state, why);
	if (made < 0)
		return made;
	int error = set_status(record, made);
	int placed = file_place(made, (int)record->fd, record->is_cloexec);
	return error ? error : placed;
}

static int explain(const struct file_record *record, int error, struct line *why)
{
	char detail[160];
	struct line line = line_in(detail, sizeof(detail));

	line_add(&line, why->text);
	why->len = 0;
	line_add(why, "descriptor ");
	line_add_number(why, record->fd, 10);
	line_add(why, ": ");
	line_add(why, detail[0] ? detail : "it cannot be made again");
	line_add(why, ": ");
	line_add_error(why, error);
	return error;
}

int files_make(const struct ledger_reader *state, struct line *why)
{
	struct ledger_reader reader = {.bytes = state->bytes, .len = state->len};
	const struct file_record *record;
	int error = make_room(state);

	notices.is_waiting = true;
	if (error) {
		line_add(why, "descriptors cannot be moved");
		return error;
	}
	while ((record = next(&reader)))
		if ((error = make(record, state, why)))
			return explain(record, error, why);
	reader.at = 0;
	while ((record = next(&reader))) {
		const struct file_kind *kind = file_kind_of(record->kind);
		if (kind->finish && record->shares == record->fd &&
		    (error = kind->finish(record, state, why)))
			return explain(record, error, why);
	}
	for (int i = 0; i < 2; i++)
		if (callers[i] >= 0)
			os_close(callers[i]);
	callers[0] = callers[1] = -1;
	write_notices();
	return 0;
}

void files_give_owners(const struct ledger_reader *state)
{
	struct ledger_reader reader = {.bytes = state->bytes, .len = state->len};
	const struct file_record *record;

	while ((record = next(&reader))) {
		struct f_owner_ex owner = {record->owner_kind, record->owner};
		const uint32_t tid = owner.type == F_OWNER_TID ? threads_new_tid((uint32_t)owner.pid) : 0;
		if (!owner.pid || record->shares != record->fd ||
		    (record->callers && !(record->status & O_ASYNC)))
			continue;
		owner.pid = tid ? (int)tid : owner.pid;
		os_fcntl((int)record->fd, F_SETOWN_EX, &owner);
	}
}
