/*
 * What has no name cannot be found again, but nobody else can have found it either: so it is made
 * anew, with the bytes it had. They are copied in each epoch, which sets a limit to them.
 */
#include "files-nameless.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "descriptor.h"
#include "os.h"
#include "ours.h"
#include "process.h"

/* LEDGER_CONTENTS: a piece of the file that descriptor fd is; holes are left out. */
struct contents_record {
	uint32_t fd;
	uint32_t len;
	uint64_t offset;
	char bytes[];
};
#define PIECE_BYTES 32768
#define SIZE_MAX_BYTES (1u << 20)

static bool is_zeros(const char *bytes, size_t len)
{
	return len == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0);
}

/* It may be open for writing only; but to close another description of it is to take the locks
 * away that the process has on it. */
static int open_to_read(const struct file_record *record)
{
	if ((record->status & O_ACCMODE) != O_WRONLY && !(record->status & (O_DIRECT | O_PATH)))
		return (int)record->fd;
	return process_may_hold_locks ? -EBUSY : file_reopen((int)record->fd, O_RDONLY);
}

void nameless_save(const struct file_record *record, const char *path, uint64_t size,
		   struct ledger_writer *writer)
{
	static char bytes[PIECE_BYTES] OURS;
	const int fd = size ? open_to_read(record) : (int)record->fd;
	int error = fd < 0 ? fd : 0;

	if (size > SIZE_MAX_BYTES || error) {
		ledger_veto(writer, error ? "an open file without a name that cannot be read" :
			    "an open file without a name and with more in it than is kept", path);
		size = 0;
	}
	for (uint64_t at = 0; !error && at < size; at += PIECE_BYTES) {
		const size_t len = size - at < PIECE_BYTES ? size - at : PIECE_BYTES;
		error = os_pread_all(fd, bytes, len, at);
		if (error || is_zeros(bytes, len))
			continue;
		struct contents_record *kept =
			ledger_put(writer, LEDGER_CONTENTS, sizeof(*kept) + len);
		kept->fd = record->fd;
		kept->len = (uint32_t)len;
		kept->offset = at;
		memcpy(kept->bytes, bytes, len);
	}
	if (error)
		ledger_veto(writer, "an open file without a name that cannot be read", path);
	if (fd >= 0 && fd != (int)record->fd)
		os_close(fd);
}

static int fill(int fd, uint32_t number, const struct ledger_reader *state)
{
	struct ledger_reader reader = {.bytes = state->bytes, .len = state->len};
	const struct contents_record *kept;
	int error = 0;
	size_t len;

	while (!error && (kept = ledger_next(&reader, LEDGER_CONTENTS, &len))) {
		if (len < sizeof(*kept) || kept->len > len - sizeof(*kept))
			return -EINVAL;
		if (kept->fd == number)
			error = os_pwrite_all(fd, kept->bytes, kept->len, kept->offset);
	}
	return error;
}

static int make_in(const char *directory)
{
	return os_open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
}

static int make_near(const char *path)
{
	char directory[FILE_PATH_MAX];
	const char *slash = strrchr(path, '/');
	const size_t len = slash && slash > path ? (size_t)(slash - path) : 1;

	memcpy(directory, path, len);
	directory[len] = 0;
	int fd = make_in(directory);
	if (fd < 0)
		fd = make_in("/tmp");
	return fd < 0 ? make_in("/dev/shm") : fd;
}

int nameless_make(const struct file_record *record, const char *path, uint64_t size,
		  const struct ledger_reader *state)
{
	const struct file_record *first =
		file_first(state, FILE_REGULAR, record->dev, record->ino);
	const int access = (int)record->status & (O_ACCMODE | O_APPEND | O_NONBLOCK);

	if (first && first != record)
		return file_reopen((int)first->fd, access);
	const int both = make_near(path);
	if (both < 0)
		return both;
	int error = fill(both, record->fd, state);
	if (!error) /* zeros at its end are not among what was kept */
		error = os_ftruncate(both, size);
	const int fd = error ? error : file_reopen(both, access);
	if (fd >= 0) /* who made it may have had more of it than its mode gives */
		os_fchmod(fd, record->mode & 07777);
	os_close(both);
	return fd;
}
