/*
 * Regular files and directories: found again by path, known by inode and time of birth.
 *
 * Output appears exactly once: what a program has written after the last epoch it writes again
 * after a resume. So a file that is written at its end (O_APPEND, or the offset is the size) is cut
 * back to the size it had (files-output.c). A file written in place is not rolled back, and that is
 * said.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/statfs.h>

#include "descriptor.h"
#include "files-kind.h"
#include "files-lock.h"
#include "files-nameless.h"
#include "files-output.h"
#include "files-written.h"
#include "os.h"
#include "ours.h"

struct regular_part {
	uint64_t size;
	uint64_t mtime_ns;
	uint64_t birth_ns; /* 0: the file system does not say */
	uint64_t ctime_ns; /* a name that comes or goes changes it, too */
	uint8_t is_output; /* written at its end */
	uint8_t is_nameless;
	uint8_t is_renamed; /* deleted under this name, but has another */
	uint8_t is_made_up; /* the kernel's texts: no identity, no size */
	uint8_t reserved[4];
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

/* Of which process this is what /proc tells; 0: none. *ret_rest: what stands behind its number */
static int process_of(const char *link, const char **ret_rest)
{
	int pid = 0;

	*ret_rest = link;
	if (!file_text_begins(link, "/proc/"))
		return 0;
	for (link += strlen("/proc/"); *link >= '0' && *link <= '9'; link++)
		pid = pid * 10 + (*link - '0');
	*ret_rest = link;
	return pid;
}

/* It will not be there in the next life. */
static bool is_of_another(const char *link)
{
	const int pid = process_of(link, &link);

	return pid != 0 && pid != os_getpid();
}

/* Where numbers cannot be chosen, the program's own is another in the next life. Its length. */
static size_t describe_path(const char *link, char path[FILE_PATH_MAX])
{
	const char *rest;
	struct line line = line_in(path, FILE_PATH_MAX);

	if (process_of(link, &rest) != 0) {
		line_add(&line, "/proc/self");
		link = rest;
	}
	line_add(&line, link);
	return line.len + 1;
}

static bool claims(const struct file_look *look)
{
	return (S_ISREG(look->st.st_mode) || S_ISDIR(look->st.st_mode)) && look->link[0] == '/' &&
	       !is_of_another(look->link) && !file_kernels_own(look->fd) &&
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

/* What was written to it says what the program is to be woken by, and nobody can ask for that. */
static bool is_of_pressure(const char *path)
{
	static const char end[] = ".pressure";
	const size_t len = strlen(path);

	return file_text_begins(path, "/proc/pressure/") ||
	       (len >= sizeof(end) && strcmp(path + len - (sizeof(end) - 1), end) == 0);
}

static bool is_marked_deleted(const char *link)
{
	static const char mark[] = " (deleted)";
	const size_t len = strlen(link);

	return len >= sizeof(mark) && strcmp(link + len - (sizeof(mark) - 1), mark) == 0;
}

static uint64_t time_ns(const struct timespec *time)
{
	return (uint64_t)time->tv_sec * UINT64_C(1000000000) + (uint64_t)time->tv_nsec;
}

static uint64_t mtime_ns(const struct stat *st)
{
	return time_ns(&st->st_mtim);
}

/* Has it the path it was described with? Only if the file has changed there is a need to ask. */
static bool is_where_it_was(struct file_record *record, const struct stat *st)
{
	static char link[FILE_PATH_MAX] OURS;
	struct regular_part *part = part_of(record);

	if (part->ctime_ns == time_ns(&st->st_ctim))
		return true;
	part->ctime_ns = time_ns(&st->st_ctim);
	return file_link((int)record->fd, link) && strcmp(link, part->path) == 0;
}

/* What a read or a write moves. */
static bool refresh(struct file_record *record, const struct stat *st)
{
	struct regular_part *part = part_of(record);
	const int64_t offset = os_lseek((int)record->fd, 0, SEEK_CUR);

	record->offset = offset < 0 ? 0 : offset;
	if (part->is_made_up)
		return true;
	if (!is_where_it_was(record, st))
		return false;
	part->is_nameless = st->st_nlink == 0;
	part->size = S_ISREG(st->st_mode) ? (uint64_t)st->st_size : 0;
	part->mtime_ns = is_writable(record) ? mtime_ns(st) : 0;
	part->is_output = is_writable(record) && ((record->status & O_APPEND) ||
						  record->offset == st->st_size);
	return true;
}

/* Once in a life is enough. */
static void warn_of_writing_in_place(const struct file_record *record, const struct stat *st)
{
	static bool is_said OURS;
	const struct regular_part *part = part_of(record);

	if (is_said || record->callers || part->is_nameless || part->is_output ||
	    !is_writable(record) || !S_ISREG(st->st_mode) || mtime_ns(st) < file_life_began_ns)
		return;
	is_said = true;
	file_notice(part->path, "is written in place; what is written after the last epoch is not "
		    "rolled back when the program is killed");
}

static size_t describe(const struct file_look *look, struct file_record *record)
{
	struct regular_part *part = part_of(record);
	const size_t len = describe_path(look->link, part->path);

	memset(part, 0, sizeof(*part));
	part->is_made_up = is_made_up(look->fd);
	part->is_renamed = !part->is_made_up && look->st.st_nlink > 0 &&
			   is_marked_deleted(look->link);
	part->birth_ns = part->is_made_up ? 0 : os_birth_ns(look->fd);
	part->ctime_ns = time_ns(&look->st.st_ctim);
	refresh(record, &look->st);
	warn_of_writing_in_place(record, &look->st);
	return sizeof(*part) + len;
}

static void save(const struct file_record *record, struct ledger_writer *writer)
{
	const struct regular_part *part = part_of(record);

	if (is_writable(record) && S_ISREG(record->mode) && !part->is_made_up && !part->is_nameless)
		written_note(record, part->path, part->size, part->mtime_ns);
	if (part->is_made_up && is_writable(record) && is_of_pressure(part->path))
		ledger_veto(writer, "a watch of pressure (PSI)", part->path);
	if (record->callers || part->is_made_up)
		return;
	if (part->is_nameless && S_ISREG(record->mode))
		nameless_save(record, part->path, part->size, writer);
	else if (part->is_nameless || part->is_renamed)
		ledger_veto(writer, "an open file or directory that was deleted", part->path);
	locks_save(record, writer);
}

/* ---- in a new process ---- */

static int open_again(const struct file_record *record)
{
	const int not_again = O_CREAT | O_EXCL | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY);

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

/* A new file often gets the number of the one that was removed. */
static int refuse_another(const struct file_record *record, const struct stat *st,
			  struct refusal *ret_why)
{
	const char *path = part_of(record)->path;

	if (st->st_ino == record->ino)
		return refuse(ret_why, STATUS_INCOMPATIBLE, path,
			      "was made after the program had opened another of this name (descriptor "
			      "%u), which is gone; try an older epoch with --epoch=-1, or --new",
			      record->fd);
	return refuse(ret_why, STATUS_INCOMPATIBLE, path,
		      "is another file than the program had open (descriptor %u, inode %lu, now %lu); "
		      "put the old one back, try an older epoch with --epoch=-1, or --new",
		      record->fd, (unsigned long)record->ino, (unsigned long)st->st_ino);
}

static int check(const struct file_record *record, const struct ledger_reader *state,
		 struct refusal *ret_why)
{
	const struct regular_part *part = part_of(record);
	struct stat st;

	(void)state;
	if (part->is_nameless)
		return 0;
	const int fd = open_again(record);
	if (fd == -ENOENT)
		return refuse(ret_why, STATUS_INCOMPATIBLE, part->path,
			      "descriptor %u of the program, is missing; put it back, try an older epoch "
			      "with --epoch=-1, or --new", record->fd);
	if (fd < 0)
		return refuse(ret_why, STATUS_INCOMPATIBLE, part->path,
			      "descriptor %u of the program, cannot be opened: error %d (%s); "
			      "mend that, or --new", record->fd, -fd, strerrordesc_np(-fd));
	const bool is_that = os_fstat(fd, &st) == 0 && is_that_file(record, &st, os_birth_ns(fd));
	os_close(fd);
	if (!is_that)
		return refuse_another(record, &st, ret_why);
	if (part->is_output)
		output_look(part->path, st.st_dev, st.st_ino);
	return 0;
}

static int seek(int fd, int64_t offset)
{
	const int64_t at = os_lseek(fd, offset, SEEK_SET);

	return at < 0 ? (int)at : 0;
}

/* Where output goes on. Who appends may be reading elsewhere what it has written. */
static int64_t end_of(const struct file_record *record, int fd, uint64_t size)
{
	const bool is_at_end = record->offset == (int64_t)part_of(record)->size;
	const bool appends = os_fcntl(fd, F_GETFL, NULL) & O_APPEND;

	return appends && !is_at_end ? record->offset : (int64_t)size;
}

/* The file is as long as it was, and the description stands where it stood. */
static int put_back(const struct file_record *record, int fd)
{
	const struct regular_part *part = part_of(record);
	struct stat st;
	int64_t offset = record->offset;
	int error = os_fstat(fd, &st);

	if (error || part->is_made_up || !S_ISREG(st.st_mode))
		return error ? error : seek(fd, offset);
	uint64_t size = (uint64_t)st.st_size;
	if (part->is_output && size > part->size) {
		if (output_is_shared(st.st_dev, st.st_ino))
			file_notice(part->path, "somebody else has written to it; what came "
				    "after the epoch remains, and comes again");
		else if (output_cut_back(part->path, fd, record->fd, part->size, part->mtime_ns))
			size = part->size;
		offset = end_of(record, fd, size);
	} else if (part->is_output && size < part->size) {
		file_notice(part->path, "is shorter than at the epoch; output goes on at its end");
		offset = end_of(record, fd, size);
	} else if (is_writable(record) &&
		   (size != part->size || mtime_ns(&st) != part->mtime_ns)) {
		/* Output of the same size as well: a database has looked for the file's end, once. */
		file_notice(part->path,
			    "was written in place after the epoch, which is not rolled back");
	}
	return error ? error : seek(fd, offset);
}

static int make(const struct file_record *record, const struct ledger_reader *state,
		struct line *why)
{
	const struct regular_part *part = part_of(record);
	const bool is_nameless = part->is_nameless;
	const int fd = is_nameless ? nameless_make(record, part->path, part->size, state) :
				     open_again(record);

	line_add(why, part->path);
	if (fd < 0 || (record->status & O_PATH))
		return fd;
	const int error = is_nameless ? seek(fd, record->offset) : put_back(record, fd);
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
