/*
 * Pipes and FIFOs. What lies in a pipe one of whose read ends is the program's is copied by tee(),
 * which takes nothing out of it, and read from a pipe of ours.
 *
 * The first descriptor of a pipe makes it and puts the contents in; all others open it through
 * /proc, each in its own direction. So a pipe whose other end was another's has no other end: reads
 * end after the contents, writes fail with EPIPE.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>

#include "descriptor.h"
#include "files-kind.h"
#include "os.h"
#include "ours.h"

/* LEDGER_PIPE: a piece of what is in the pipe that descriptor fd reads; a packet is one piece. */
struct pipe_record {
	uint32_t fd;
	uint32_t len;
	char bytes[];
};
#define PIECE_BYTES 32768
#define CONTENTS_MAX (1u << 20)

struct pipe_part {
	uint32_t capacity;
	uint32_t is_fifo;
	char path[]; /* of what was opened as a FIFO; "": a pipe */
};

/* Where tee() copies to; only the committer's. */
static int scratch[2] OURS = {-1, -1};
static char piece[PIECE_BYTES] OURS;

static struct pipe_part *part_of(const struct file_record *record)
{
	return (struct pipe_part *)(uintptr_t)record->part;
}

static bool reads(const struct file_record *record)
{
	return (record->status & O_ACCMODE) != O_WRONLY;
}

static bool claims(const struct file_look *look)
{
	return S_ISFIFO(look->st.st_mode) &&
	       (look->link[0] == '/' || file_text_begins(look->link, "pipe:"));
}

static bool refresh(struct file_record *record, const struct stat *st)
{
	struct pipe_part *part = part_of(record);
	const int capacity = os_fcntl((int)record->fd, F_GETPIPE_SZ, NULL);

	part->capacity = capacity < 0 ? 0 : (uint32_t)capacity;
	part->is_fifo = part->path[0] && st->st_nlink > 0; /* else it is as good as a pipe */
	return true;
}

static size_t describe(const struct file_look *look, struct file_record *record)
{
	struct pipe_part *part = part_of(record);
	const char *path = look->link[0] == '/' ? look->link : "";
	const size_t len = strlen(path) + 1;

	memcpy(part->path, path, len);
	refresh(record, &look->st);
	return sizeof(*part) + len;
}

static bool scratch_is_there(uint32_t capacity)
{
	if (!ours_fd_has(scratch[0]) || !ours_fd_has(scratch[1])) {
		int ends[2];
		if (os_pipe(ends, O_CLOEXEC) < 0)
			return false;
		for (int i = 0; i < 2; i++) {
			scratch[i] = os_fd_move(ends[i]);
			ours_fd_add(&scratch[i]);
		}
	}
	return os_fcntl(scratch[1], F_SETPIPE_SZ, (void *)(uintptr_t)capacity) >= 0;
}

static bool copy_pieces(const struct file_record *record, long len, struct ledger_writer *writer)
{
	while (len > 0) {
		const long got = os_read(scratch[0], piece, sizeof(piece));
		if (got <= 0)
			return false;
		struct pipe_record *kept =
			ledger_put(writer, LEDGER_PIPE, sizeof(*kept) + (size_t)got);
		kept->fd = record->fd;
		kept->len = (uint32_t)got;
		memcpy(kept->bytes, piece, (size_t)got);
		len -= got;
	}
	return true;
}

/* All of it, or a veto. */
static void save(const struct file_record *record, struct ledger_writer *writer)
{
	const struct pipe_part *part = part_of(record);
	const int fd = (int)record->fd;
	int len = 0;

	if (record->callers || !reads(record) || os_ioctl(fd, FIONREAD, &len) < 0 || len == 0)
		return;
	if (len > (int)CONTENTS_MAX || !scratch_is_there(part->capacity)) {
		ledger_veto(writer, "a pipe with more in it than is kept", NULL);
		return;
	}
	const long copied = os_tee(fd, scratch[1], (size_t)len);
	if (!copy_pieces(record, copied, writer) || copied != len)
		ledger_veto(writer, "a pipe whose contents cannot be read", NULL);
}

/* ---- in a new process ---- */

static bool is_of(const struct pipe_record *kept, const struct file_record *pipe,
		  const struct ledger_reader *state)
{
	struct ledger_reader files = {.bytes = state->bytes, .len = state->len};
	const struct file_record *file;
	size_t len;

	while ((file = ledger_next(&files, LEDGER_FILE, &len)))
		if (file->fd == kept->fd)
			return file->kind == FILE_PIPE && file->ino == pipe->ino &&
			       file->dev == pipe->dev;
	return false;
}

/* Whoever writes it decides, and it is a flag of that description. */
static bool has_packets(const struct file_record *pipe, const struct ledger_reader *state)
{
	struct ledger_reader files = {.bytes = state->bytes, .len = state->len};
	const struct file_record *file;
	size_t len;

	while ((file = ledger_next(&files, LEDGER_FILE, &len)))
		if (file->kind == FILE_PIPE && file->ino == pipe->ino && file->dev == pipe->dev &&
		    (file->status & O_DIRECT))
			return true;
	return false;
}

/* The pieces of one descriptor; a second one that reads the same pipe saw the same. */
static int fill(const struct file_record *record, const struct ledger_reader *state, int fd)
{
	struct ledger_reader reader = {.bytes = state->bytes, .len = state->len};
	const struct pipe_record *kept;
	const uint32_t capacity = part_of(record)->capacity;
	int64_t source = -1;
	size_t len;

	if (capacity)
		os_fcntl(fd, F_SETPIPE_SZ, (void *)(uintptr_t)capacity);
	if (has_packets(record, state))
		os_fcntl(fd, F_SETFL, (void *)(intptr_t)(O_NONBLOCK | O_DIRECT));
	while ((kept = ledger_next(&reader, LEDGER_PIPE, &len))) {
		if (source >= 0 ? kept->fd != source : !is_of(kept, record, state))
			continue;
		source = kept->fd;
		const long written = os_write(fd, kept->bytes, kept->len);
		if (written != (long)kept->len)
			return written < 0 ? (int)written : -EAGAIN;
	}
	return 0;
}

static int make_fifo(const struct file_record *record, const struct ledger_reader *state,
		     bool is_first, struct line *why)
{
	const char *path = part_of(record)->path;
	const int both = os_open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC, 0);
	struct stat st;

	line_add(why, path);
	if (both < 0)
		return both;
	int error = os_fstat(both, &st);
	if (!error && !S_ISFIFO(st.st_mode))
		error = -ENXIO;
	if (!error && is_first)
		error = fill(record, state, both);
	int fd = error ? error : file_reopen(both, ((int)record->status & O_ACCMODE) | O_NONBLOCK);
	os_close(both);
	return fd;
}

static int make(const struct file_record *record, const struct ledger_reader *state,
		struct line *why)
{
	const struct file_record *first = file_first(state, FILE_PIPE, record->dev, record->ino);
	const bool is_first = first == record;
	const int access = (int)record->status & O_ACCMODE;
	int ends[2];

	if (part_of(record)->is_fifo)
		return make_fifo(record, state, is_first, why);
	if (!is_first)
		return file_reopen((int)first->fd, access);
	int error = os_pipe(ends, O_CLOEXEC | O_NONBLOCK);
	if (!error)
		error = fill(record, state, ends[1]);
	if (error)
		return error;
	const int kept = access == O_RDWR ? file_reopen(ends[0], O_RDWR) :
					    os_fcntl(ends[access == O_WRONLY], F_DUPFD_CLOEXEC, NULL);
	os_close(ends[0]);
	os_close(ends[1]);
	return kept;
}

static int check(const struct file_record *record, const struct ledger_reader *state,
		 struct refusal *ret_why)
{
	const struct pipe_part *part = part_of(record);
	struct stat st;

	(void)state;
	if (!part->is_fifo || (os_stat(part->path, &st) == 0 && S_ISFIFO(st.st_mode)))
		return 0;
	return refuse(ret_why, STATUS_INCOMPATIBLE, part->path,
		      "descriptor %u of the program, is no FIFO now; mkfifo, or --new", record->fd);
}

const struct file_kind file_pipe = {
	.claims = claims,
	.describe = describe,
	.refresh = refresh,
	.save = save,
	.check = check,
	.make = make,
};
