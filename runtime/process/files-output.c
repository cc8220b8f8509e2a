/*
 * The problem: what a program has written after the epoch it writes again, so it must go; but a log
 * may have lines of others in it, which must not. The kernel tells whether somebody else has a file
 * open for writing: else it would not lease it to a reader. What is cut off is not thrown away.
 */
#include "files-output.h"

#include <errno.h>
#include <fcntl.h>

#include "descriptor.h"
#include "files-kind.h"
#include "os.h"
#include "ours.h"
#include "process-parts.h"

#define SHARED_MAX 64
static struct {
	uint64_t dev, ino;
} shared[SHARED_MAX] OURS;
static unsigned shared_count OURS;

#define TRIES 20
#define PAUSE_NS 50000000

/* The caller's descriptor, which would be taken for another's writer; -1: none of the file. */
static int callers_fd(uint64_t dev, uint64_t ino)
{
	struct stat st;

	for (int fd = 0; fd < 3; fd++)
		if (os_fstat(fd, &st) == 0 && st.st_dev == dev && st.st_ino == ino)
			return fd;
	return -1;
}

void output_look(const char *path, uint64_t dev, uint64_t ino)
{
	const int fd = callers_fd(dev, ino) >= 0 ? -1 : os_open(path, O_RDONLY | O_CLOEXEC, 0);
	int error = fd < 0 ? 0 : -EAGAIN;

	for (int i = 0; i < TRIES && error == -EAGAIN; i++) {
		if (i)
			os_sleep_ns(PAUSE_NS);
		error = os_fcntl(fd, F_SETLEASE, (void *)(intptr_t)F_RDLCK);
	}
	if (error == -EAGAIN && shared_count < SHARED_MAX) {
		shared[shared_count].dev = dev;
		shared[shared_count++].ino = ino;
	}
	if (fd >= 0)
		os_close(fd); /* and with it the lease */
}

/* Who called us may have written through the description we have, after the program's death. */
static bool has_grown(uint64_t dev, uint64_t ino)
{
	const int fd = callers_fd(dev, ino);
	struct stat st;

	return fd >= 0 && (process_self.outputs_known >> fd & 1) && os_fstat(fd, &st) == 0 &&
	       (uint64_t)st.st_size != process_self.output_bytes[fd];
}

bool output_is_shared(uint64_t dev, uint64_t ino)
{
	for (unsigned i = 0; i < shared_count; i++)
		if (shared[i].dev == dev && shared[i].ino == ino)
			return true;
	return has_grown(dev, ino);
}

static int copy(int in, int out, uint64_t from, uint64_t to)
{
	static char bytes[1 << 16] OURS;
	int error = 0;

	for (uint64_t at = from; !error && at < to;) {
		const size_t piece = to - at < sizeof(bytes) ? to - at : sizeof(bytes);
		error = os_pread_all(in, bytes, piece, at);
		if (!error)
			error = os_pwrite_all(out, bytes, piece, at - from);
		at += piece;
	}
	return error;
}

static int save_tail(int fd, const char *name, uint64_t from, uint64_t to)
{
	const int in = file_reopen(fd, O_RDONLY);
	const int out = in < 0 ? -1 : os_open(name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW |
						    O_CLOEXEC, 0600);
	const int error = in < 0 ? in : out < 0 ? out : copy(in, out, from, to);

	if (in >= 0)
		os_close(in);
	if (out >= 0)
		os_close(out);
	return error;
}

bool output_cut_back(const char *path, int fd, unsigned number, uint64_t old_size,
		     uint64_t old_mtime_ns)
{
	struct stat st;
	char name[FILE_PATH_MAX];
	char text[FILE_PATH_MAX + 128];
	struct line tail = line_in(name, sizeof(name)), fact = line_in(text, sizeof(text));

	file_tail_path(&tail, number);
	const uint64_t size = os_fstat(fd, &st) == 0 ? (uint64_t)st.st_size : old_size;
	const bool is_cut = save_tail(fd, name, old_size, size) == 0 &&
			    os_ftruncate(fd, old_size) == 0;
	if (is_cut)
		os_set_mtime(fd, old_mtime_ns);
	line_add_number(&fact, size - old_size, 10);
	line_add(&fact, " bytes written after the epoch ");
	line_add(&fact, is_cut ? "are moved to " : "remain, as they cannot be moved to ");
	line_add(&fact, name);
	file_notice(path, text);
	return is_cut;
}
