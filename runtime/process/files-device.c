/*
 * Device nodes without state, terminals, and everything else: refused by name.
 *
 * A terminal is the place where a program meets people, so the one the caller has now takes the
 * place of the one there was, with the settings the program had made; SIGWINCH lets it draw itself.
 */
#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

#include "descriptor.h"
#include "files-kind.h"
#include "os.h"

/* ---- nodes that give or take bytes and remember nothing ---- */

static bool is_stateless(uint64_t rdev)
{
	static const unsigned char minors[] = {3 /* null */, 5 /* zero */, 7 /* full */,
					       8 /* random */, 9 /* urandom */};

	if (major(rdev) != 1)
		return false;
	for (unsigned i = 0; i < sizeof(minors); i++)
		if (minor(rdev) == minors[i])
			return true;
	return false;
}

static bool node_claims(const struct file_look *look)
{
	return S_ISCHR(look->st.st_mode) && is_stateless(look->st.st_rdev) && look->link[0] == '/';
}

static size_t path_describe(const struct file_look *look, struct file_record *record)
{
	const size_t len = strlen(look->link) + 1;

	memcpy(record->part, look->link, len);
	return len;
}

static bool nothing_changes(struct file_record *record, const struct stat *st)
{
	(void)record, (void)st;
	return true;
}

static int node_make(const struct file_record *record, const struct ledger_reader *state,
		     struct line *why)
{
	struct stat st;
	int fd = os_open(record->part, ((int)record->status & ~(O_CREAT | O_EXCL | O_TRUNC)) |
					       O_NOCTTY | O_CLOEXEC, 0);

	(void)state;
	if (fd >= 0 && (os_fstat(fd, &st) < 0 || st.st_rdev != record->rdev)) {
		os_close(fd);
		fd = -ENXIO;
	}
	if (fd < 0)
		line_add(why, record->part);
	return fd;
}

static int node_check(const struct file_record *record, const struct ledger_reader *state,
		      struct refusal *ret_why)
{
	struct stat st;

	(void)state;
	if (os_stat(record->part, &st) == 0 && st.st_rdev == record->rdev)
		return 0;
	return refuse(ret_why, STATUS_INCOMPATIBLE, record->part,
		      "descriptor %u of the program, is not that device now; make it, or --new",
		      record->fd);
}

const struct file_kind file_node = {
	.claims = node_claims,
	.describe = path_describe,
	.refresh = nothing_changes,
	.check = node_check,
	.make = node_make,
};

/* ---- terminals ---- */

struct tty_part {
	struct termios2 termios; /* with speeds of any number */
	uint32_t has_termios;
	char path[];
};

static struct tty_part *tty_of(const struct file_record *record)
{
	return (struct tty_part *)(uintptr_t)record->part;
}

static bool tty_claims(const struct file_look *look)
{
	const unsigned number = major(look->st.st_rdev);

	return S_ISCHR(look->st.st_mode) && look->link[0] == '/' &&
	       ((number == 5 && minor(look->st.st_rdev) < 2) || number == 4 ||
		(number >= 136 && number <= 143));
}

static bool tty_refresh(struct file_record *record, const struct stat *st)
{
	struct tty_part *part = tty_of(record);

	(void)st;
	part->has_termios = os_ioctl((int)record->fd, TCGETS2, &part->termios) >= 0;
	return true;
}

static size_t tty_describe(const struct file_look *look, struct file_record *record)
{
	struct tty_part *part = tty_of(record);
	const size_t len = strlen(look->link) + 1;

	memset(part, 0, sizeof(*part));
	memcpy(part->path, look->link, len);
	tty_refresh(record, &look->st);
	return sizeof(*part) + len;
}

/* All signals are blocked, SIGTTOU, too: a job in the background may do this, once. SIGWINCH waits
 * until the program's own handlers are there. */
static void apply(const struct tty_part *part, int fd)
{
	struct termios2 now;

	if (part->has_termios && os_ioctl(fd, TCGETS2, &now) >= 0 &&
	    os_ioctl(fd, TCSETS2, (void *)(uintptr_t)&part->termios) >= 0)
		os_kill(os_getpid(), SIGWINCH);
}

/* A terminal nobody is at any more: reads end, writes fail. */
static int vanished_tty(void)
{
	const int master = os_open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC, 0);
	int unlocked = 0;
	int slave = master;

	if (master >= 0) {
		os_ioctl(master, TIOCSPTLCK, &unlocked);
		slave = os_ioctl(master, TIOCGPTPEER, (void *)(intptr_t)(O_RDWR | O_NOCTTY | O_CLOEXEC));
		os_close(master);
	}
	return slave;
}

/* /dev/tty is whatever terminal the session has now, and a line has a name for good; but the number
 * of a pseudo terminal may be anybody's by now, so the caller's takes its place. */
static int tty_make(const struct file_record *record, const struct ledger_reader *state,
		    struct line *why)
{
	struct tty_part *part = tty_of(record);
	const int flags = ((int)record->status & (O_ACCMODE | O_NONBLOCK)) | O_NOCTTY | O_CLOEXEC;
	const bool is_pseudo = file_text_begins(part->path, "/dev/pts/");
	int fd = is_pseudo ? file_callers_terminal(flags) : os_open(part->path, flags, 0);

	(void)state, (void)why;
	if (fd < 0)
		fd = vanished_tty();
	if (fd >= 0)
		apply(part, fd);
	return fd;
}

static int tty_adopt(const struct file_record *record, int fd, struct line *why)
{
	(void)why;
	apply(tty_of(record), fd);
	return 0;
}

const struct file_kind file_tty = {
	.claims = tty_claims,
	.describe = tty_describe,
	.refresh = tty_refresh,
	.make = tty_make,
	.adopt = tty_adopt,
};

/* ---- what cannot be kept ---- */

static bool refused_claims(const struct file_look *look)
{
	(void)look;
	return true;
}

/* What people call it; else its link. */
static const char *name_of(const char *link)
{
	static const struct {
		const char *link, *name;
	} names[] = {
		{"anon_inode:inotify", "an inotify instance"},
		{"anon_inode:[fanotify]", "a fanotify group"},
		{"anon_inode:[io_uring]", "an io_uring"},
		{"anon_inode:[perf_event]", "a perf event"},
		{"anon_inode:[userfaultfd]", "a userfaultfd"},
		{"anon_inode:[pidfd]", "a pidfd"},
		{"pidfd:", "a pidfd"},
		{"anon_inode:bpf-", "a BPF object"},
		{"anon_inode:kvm-", "a virtual machine"},
		{"anon_inode:seccomp notify", "a seccomp listener"},
		{"/memfd:", "a memfd"},
		{"/dmabuf:", "a DMA buffer"},
		{"/dev/ptmx", "a pseudo terminal's master"},
		{"/dev/pts/ptmx", "a pseudo terminal's master"},
		{"/dev/nvidia", "a GPU"},
		{"/dev/dri/", "a GPU"},
		{"/dev/kfd", "a GPU"},
		{"/dev/kvm", "a virtual machine"},
		{"mnt:", "a namespace"},
		{"net:", "a namespace"},
		{"pid:", "a namespace"},
		{"user:", "a namespace"},
	};

	for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (file_text_begins(link, names[i].link))
			return names[i].name;
	return link;
}

/* They have paths that lead nowhere: those of the file systems they are in, mounted or not. */
const char *file_kernels_own(int fd)
{
	static const struct {
		uint32_t magic;
		const char *name;
	} kinds[] = {
		{0x19800202, "a POSIX message queue"},
		{0x5345434d, "secret memory (secretmem)"},
		{0x958458f6, "huge pages (hugetlbfs)"},
	};
	struct statfs fs;

	if (os_fstatfs(fd, &fs) < 0)
		return NULL;
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if ((uint32_t)fs.f_type == kinds[i].magic)
			return kinds[i].name;
	return NULL;
}

static size_t refused_describe(const struct file_look *look, struct file_record *record)
{
	const char *name = S_ISREG(look->st.st_mode) ? file_kernels_own(look->fd) : NULL;

	if (!name)
		return path_describe(look, record);
	const size_t len = strlen(name) + 1;
	memcpy(record->part, name, len);
	return len;
}

static void refused_save(const struct file_record *record, struct ledger_writer *writer)
{
	char text[32];
	struct line line = line_in(text, sizeof(text));

	if (record->callers)
		return; /* whatever it is, it will be the next caller's */
	line_add(&line, "descriptor ");
	line_add_number(&line, record->fd, 10);
	ledger_veto(writer, text, name_of(record->part));
}

static int refused_make(const struct file_record *record, const struct ledger_reader *state,
			struct line *why)
{
	(void)state;
	line_add(why, record->part);
	return -ENOTSUP;
}

const struct file_kind file_refused = {
	.claims = refused_claims,
	.describe = refused_describe,
	.save = refused_save,
	.make = refused_make,
};
