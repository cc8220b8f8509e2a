/*
 * Regular files and directories: found again by path, known by inode and time of birth.
 *
 * Output appears exactly once: what a program has written after the last epoch it writes again
 * after a resume. So a file that is written at its end (O_APPEND, or the offset is the size) is cut
 * back to the size it had; what is cut off is saved beside the pool. A file written in place is not
 * rolled back, and that is said.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/statfs.h>

#include "descriptor.h"
#include "files-kind.h"
#include "files-lock.h"
#include "os.h"
#include "ours.h"

struct regular_part {
	uint64_t size;
	uint64_t mtime_ns;
	uint64_t birth_ns; /* 0: the file system does not say */
	uint8_t is_output; /* written at its end */
	uint8_t is_deleted;
	uint8_t is_made_up; /* the kernel's texts: no identity, no size */
	uint8_t reserved[5];
	char path[];
};

static struct regular_part *part_of(const struct file_record *record)
{
	return (struct regular_part *)(uintptr_t)record->part;
}

static bool is_writable(const struct file_record *record)
{
	return (record->status & O_ACCMODE) != O_RDONLY && !(record->status & O_PATH);
}

static bool claims(const struct file_look *look)
{
	return (S_ISREG(look->st.st_mode) || S_ISDIR(look->st.st_mode)) && look->link[0] == '/' &&
	       !(look->st.st_nlink == 0 && file_text_begins(look->link, "/memfd:"));
}

static bool is_made_up(int fd)
{
	static const uint32_t kinds[] = {0x9fa0 /* proc */, 0x62656572 /* sysfs */,
					 0x63677270 /* cgroup2 */, 0x64626720 /* debugfs */,
					 0x74726163 /* tracefs */};
	struct statfs fs;

	if (os_fstatfs(fd, &fs) < 0)
		return false;
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if ((uint32_t)fs.f_type == kinds[i])
			return true;
	return false;
}

static bool is_marked_deleted(const char *link)
{
	static const char mark[] = " (deleted)";
	const size_t len = strlen(link);

	return len >= sizeof(mark) && strcmp(link + len - (sizeof(mark) - 1), mark) == 0;
}

static uint64_t mtime_ns(const struct stat *st)
{
	return (uint64_t)st->st_mtim.tv_sec * UINT64_C(1000000000) + (uint64_t)st->st_mtim.tv_nsec;
}

/* What a read or a write moves. */
static bool refresh(struct file_record *record, const struct stat *st)
{
	struct regular_part *part = part_of(record);
	const int64_t offset = os_lseek((int)record->fd, 0, SEEK_CUR);

	record->offset = offset < 0 ? 0 : offset;
	if (part->is_made_up)
		return true;
	part->is_deleted |= st->st_nlink == 0;
	part->size = S_ISREG(st->st_mode) ? (uint64_t)st->st_size : 0;
	part->mtime_ns = is_writable(record) ? mtime_ns(st) : 0;
	part->is_output = is_writable(record) && ((record->status & O_APPEND) ||
						  record->offset == st->st_size);
	return true;
}

static size_t describe(const struct file_look *look, struct file_record *record)
{
	struct regular_part *part = part_of(record);
	const size_t len = strlen(look->link) + 1;

	memset(part, 0, sizeof(*part));
	memcpy(part->path, look->link, len);
	part->is_made_up = is_made_up(look->fd);
	part->is_deleted = !part->is_made_up && is_marked_deleted(look->link);
	part->birth_ns = part->is_made_up ? 0 : os_birth_ns(look->fd);
	refresh(record, &look->st);
	return sizeof(*part) + len;
}

static void save(const struct file_record *record, struct ledger_writer *writer)
{
	if (part_of(record)->is_deleted && !record->callers)
		ledger_veto(writer, "an open file that has no name", part_of(record)->path);
	if (!record->callers && !part_of(record)->is_made_up)
		locks_save(record, writer);
}

/* ---- in a new process ---- */

static int open_again(const struct file_record *record)
{
	const int not_again = O_CREAT | O_EXCL | O_TRUNC;

	return os_open(part_of(record)->path,
		       ((int)record->status & ~not_again) | O_NOCTTY | O_CLOEXEC, 0);
}

static bool is_that_file(const struct file_record *record, const struct stat *st, uint64_t birth_ns)
{
	const struct regular_part *part = part_of(record);

	if (part->is_made_up)
		return true;
	if (st->st_ino != record->ino || ((st->st_mode ^ record->mode) & S_IFMT) != 0)
		return false;
	return part->birth_ns && birth_ns ? part->birth_ns == birth_ns : st->st_dev == record->dev;
}

static int check(const struct file_record *record, const struct ledger_reader *state,
		 struct refusal *ret_why)
{
	const struct regular_part *part = part_of(record);
	const int fd = open_again(record);
	struct stat st;

	(void)state;
	if (fd == -ENOENT)
		return refuse(ret_why, STATUS_INCOMPATIBLE, part->path,
			      "descriptor %u of the program, is missing; put it back, or --new",
			      record->fd);
	if (fd < 0)
		return refuse(ret_why, STATUS_INCOMPATIBLE, part->path,
			      "descriptor %u of the program, cannot be opened (error %d)",
			      record->fd, -fd);
	const bool is_that = os_fstat(fd, &st) == 0 && is_that_file(record, &st, os_birth_ns(fd));
	os_close(fd);
	if (!is_that)
		return refuse(ret_why, STATUS_INCOMPATIBLE, part->path,
			      "is another file than the program had open (descriptor %u, inode %lu, "
			      "now %lu); put the old one back, or --new",
			      record->fd, (unsigned long)record->ino, (unsigned long)st.st_ino);
	return 0;
}

static int save_tail(const char *from_path, int fd, int number, uint64_t from, uint64_t to)
{
	static char bytes[1 << 16] OURS;
	char name[FILE_PATH_MAX];
	struct line path = line_in(name, sizeof(name));
	const int in = file_reopen(fd, O_RDONLY);
	int error = in < 0 ? in : 0;

	file_tail_path(&path, number);
	const int out = os_open(name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (!error && out < 0)
		error = out;
	for (uint64_t at = from; !error && at < to;) {
		const size_t piece = to - at < sizeof(bytes) ? to - at : sizeof(bytes);
		error = os_pread_all(in, bytes, piece, at);
		if (!error)
			error = os_pwrite_all(out, bytes, piece, at - from);
		at += piece;
	}
	if (in >= 0)
		os_close(in);
	if (out >= 0)
		os_close(out);

	char text[FILE_PATH_MAX + 128];
	struct line fact = line_in(text, sizeof(text));
	line_add_number(&fact, to - from, 10);
	line_add(&fact, " bytes written after the epoch ");
	line_add(&fact, error ? "remain, as they cannot be saved in " : "are moved to ");
	line_add(&fact, name);
	file_notice(from_path, text);
	return error;
}

/* The file is as long as it was, and the description stands where it stood. */
static int put_back(const struct file_record *record, int fd)
{
	const struct regular_part *part = part_of(record);
	struct stat st;
	int64_t offset = record->offset;
	int error = os_fstat(fd, &st);

	if (error || part->is_made_up || !S_ISREG(st.st_mode))
		return error ? error : (int)os_lseek(fd, offset, SEEK_SET) < 0 ? -ESPIPE : 0;
	const uint64_t size = (uint64_t)st.st_size;
	if (part->is_output && size > part->size) {
		if (save_tail(part->path, fd, (int)record->fd, part->size, size) == 0)
			error = os_ftruncate(fd, part->size);
		else
			offset = (int64_t)size;
	} else if (part->is_output && size < part->size) {
		file_notice(part->path, "is shorter than at the epoch; output goes on at its end");
		offset = (int64_t)size;
	} else if (is_writable(record) && !part->is_output &&
		   (size != part->size || mtime_ns(&st) != part->mtime_ns)) {
		file_notice(part->path,
			    "was written in place after the epoch, which is not rolled back");
	}
	const int64_t at = error ? 0 : os_lseek(fd, offset, SEEK_SET);
	return error ? error : at < 0 ? (int)at : 0;
}

static int make(const struct file_record *record, const struct ledger_reader *state,
		struct line *why)
{
	const int fd = open_again(record);

	(void)state;
	line_add(why, part_of(record)->path);
	if (fd < 0 || (record->status & O_PATH))
		return fd;
	const int error = put_back(record, fd);
	if (error) {
		os_close(fd);
		return error;
	}
	why->len = 0;
	why->text[0] = 0;
	return fd;
}

/* `> file` has made it empty, `>> file` and `< file` have not; another file is left as it is. */
static int adopt(const struct file_record *record, int fd, struct line *why)
{
	struct stat st;

	(void)why;
	if (os_fstat(fd, &st) < 0 || st.st_dev != record->dev || st.st_ino != record->ino)
		return 0;
	return put_back(record, fd);
}

static int finish(const struct file_record *record, const struct ledger_reader *state,
		  struct line *why)
{
	const int error = locks_make(record, state);

	if (error) {
		line_add(why, part_of(record)->path);
		line_add(why, ": is locked by another process");
	}
	return error;
}

const struct file_kind file_regular = {
	.claims = claims,
	.describe = describe,
	.refresh = refresh,
	.save = save,
	.check = check,
	.make = make,
	.adopt = adopt,
	.finish = finish,
};
