/*
 * The table of descriptors, and what of it goes into an epoch.
 *
 * The problem: a descriptor tells what it is in half a dozen system calls and texts of /proc, and
 * threads stand meanwhile. The trick: it is described while they run; in the pause one fstat and
 * the flags tell that it still is what was described, and only what a read or a write moves is
 * asked for again. Whether there are descriptors nobody has described is told by their count, which
 * is the size of /proc/self/fd.
 *
 * All of this runs on the committer's thread alone: no libc, memory of the zone.
 */
#include "files.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "descriptor.h"
#include "files-kind.h"
#include "files-lock.h"
#include "files-share.h"
#include "files-written.h"
#include "os.h"
#include "ours.h"
#include "process.h"
#include "socket-said.h"

#define ARENA_BYTES (UINT64_C(64) << 20)
#define TABLE_MAX (1 << 20) /* numbers above are a veto; the kernel's own limit, mostly */
#define SLICE 128           /* so many are described again for each epoch */

/* One descriptor. */
struct file {
	struct file_record *record; /* in the arena; NULL: not described */
	uint32_t room;              /* for its part */
};

static struct {
	struct file *table; /* by number */
	int *present;       /* numbers of the program's, ascending */
	int *before;        /* the last time they were looked for */
	int count;
	int total;          /* with ours */
	bool is_beyond;     /* there are numbers that the table has not */
	unsigned slice;
	char *arena;
	uint64_t arena_used;
	char pool[FILE_PATH_MAX];
	struct keeper_given callers[3];
	struct file_look look;
	char record[sizeof(struct file_record) + FILE_PART_MAX] /* under construction */
		__attribute__((aligned(8)));
} self OURS;

bool file_is_quiet OURS;
uint64_t file_life_began_ns OURS;

void files_open(const char *pool, const struct keeper_note *note)
{
	const size_t len = strlen(pool);

	file_life_began_ns = os_clock_ns(CLOCK_REALTIME);
	file_is_quiet = note->is_quiet || !say_has_level(SAY_WARN);
	if (len < sizeof(self.pool))
		memcpy(self.pool, pool, len + 1);
	locks_open();
	memcpy(self.callers, note->given, sizeof(self.callers));
}

void file_tail_path(struct line *path, unsigned fd)
{
	line_add(path, self.pool);
	line_add(path, ".tail-");
	line_add_number(path, fd, 10);
}

static bool is_callers(int i, const struct stat *st)
{
	return self.callers[i].is_open && self.callers[i].dev == st->st_dev &&
	       self.callers[i].ino == st->st_ino && self.callers[i].rdev == st->st_rdev;
}

/* A pipe or a terminal of the caller's is another's at a resume, under whatever number the program
 * has put it; a file can be found again by its name. */
static uint32_t callers_of(const struct file_look *look, enum file_kind_number kind)
{
	if (look->fd < 3 && is_callers(look->fd, &look->st))
		return (uint32_t)look->fd + 1;
	if (kind == FILE_PIPE || kind == FILE_SOCKET || kind == FILE_TTY)
		for (int i = 0; i < 3; i++)
			if (is_callers(i, &look->st))
				return (uint32_t)i + 1;
	return 0;
}

static void give_back(void *memory, size_t bytes)
{
	if (!os_is_error(memory))
		os_munmap(memory, bytes);
}

static bool memory_is_there(void)
{
	if (self.arena)
		return true;
	void *table = os_reserve(TABLE_MAX * sizeof(*self.table));
	void *numbers = os_reserve(2 * TABLE_MAX * sizeof(int));
	void *arena = os_reserve(ARENA_BYTES);
	if (os_is_error(table) || os_is_error(numbers) || os_is_error(arena)) {
		give_back(table, TABLE_MAX * sizeof(*self.table));
		give_back(numbers, 2 * TABLE_MAX * sizeof(int));
		give_back(arena, ARENA_BYTES);
		return false;
	}
	self.table = table;
	self.present = numbers;
	self.before = self.present + TABLE_MAX;
	self.arena = arena;
	return true;
}

/* The size is 0 before Linux 6.2. */
static bool are_all_known(void)
{
	struct stat st;

	return os_fstat(file_links(), &st) == 0 && st.st_size > 0 && st.st_size == self.total;
}

struct dirent_head {
	uint64_t ino, next;
	uint16_t len;
	uint8_t type;
	char name[];
};

static void note_present(const char *name)
{
	const char *at = name;

	if (*name < '0' || *name > '9')
		return;
	const uint64_t fd = file_number(&at, 10);
	self.total++;
	if (ours_fd_has((int)fd))
		return;
	self.is_beyond |= fd >= TABLE_MAX;
	if (fd >= TABLE_MAX)
		return;
	self.present[self.count++] = (int)fd;
}

/* The kernel names them in ascending order. */
static bool enumerate(void)
{
	static char names[4096] __attribute__((aligned(8))) OURS;
	int *const before = self.present;
	const int count = self.count;
	long len;

	if (os_lseek(file_links(), 0, SEEK_SET) < 0)
		return false;
	self.present = self.before;
	self.before = before;
	self.count = self.total = 0;
	self.is_beyond = false;
	while ((len = os_getdents(file_links(), names, sizeof(names))) > 0)
		for (long at = 0; at < len;) {
			const struct dirent_head *entry = (const void *)(names + at);
			note_present(entry->name);
			at += entry->len;
		}
	if (count != self.count ||
	    memcmp(before, self.present, (size_t)count * sizeof(*before)) != 0)
		share_forget();
	return len == 0;
}

/* ---- descriptions ---- */

static bool is_same_file(const struct file_record *record, const struct stat *st)
{
	return record->dev == st->st_dev && record->ino == st->st_ino &&
	       ((record->mode ^ st->st_mode) & S_IFMT) == 0 && record->rdev == st->st_rdev;
}

static void forget_all(void)
{
	share_forget();
	for (int fd = 0; fd < TABLE_MAX; fd++)
		if (self.table[fd].record)
			self.table[fd] = (struct file){0};
	self.arena_used = 0;
}

/* Room for the record under construction; a part that has grown leaves its old room behind. */
static struct file_record *room_for(struct file *file, uint32_t part_len)
{
	const uint32_t room = (part_len + 63) & ~63u;

	if (file->record && file->room >= part_len)
		return file->record;
	if (self.arena_used + sizeof(struct file_record) + room > ARENA_BYTES)
		return NULL;
	file->record = (void *)(self.arena + self.arena_used);
	file->room = room;
	self.arena_used += sizeof(struct file_record) + room;
	return file->record;
}

/* What is the same file may be another description of it: that is found out by comparing. */
static void note_sharing(const struct file *file, struct file_record *record)
{
	if (file->record && file->record->dev == record->dev && file->record->ino == record->ino)
		record->shares = file->record->shares;
	else
		share_forget();
}

/* Whom its signals are for: with O_ASYNC, of urgent data, of a lease. */
static void describe_owner(int fd, struct file_record *record)
{
	struct f_owner_ex owner = {0};

	if (os_fcntl(fd, F_GETOWN_EX, &owner) < 0)
		return;
	record->owner = owner.pid;
	record->owner_kind = (int32_t)owner.type;
	record->owner_signal = os_fcntl(fd, F_GETSIG, NULL);
}

static void describe_flags(int fd, struct file_record *record)
{
	record->status = (uint32_t)os_fcntl(fd, F_GETFL, NULL);
	record->is_cloexec = os_fcntl(fd, F_GETFD, NULL) & FD_CLOEXEC;
	if (process_may_own_files || record->status & O_ASYNC)
		describe_owner(fd, record);
}

/* false: it is gone, or there is no room */
static bool describe(int fd)
{
	struct file_record *const record = (void *)self.record;
	struct file *file = &self.table[fd];

	if (!file_look_at(fd, &self.look))
		return false;
	memset(record, 0, sizeof(*record));
	const enum file_kind_number kind = file_kind_find(&self.look);
	record->fd = record->shares = (uint32_t)fd;
	record->kind = kind;
	record->callers = callers_of(&self.look, kind);
	record->mode = self.look.st.st_mode;
	record->dev = self.look.st.st_dev;
	record->ino = self.look.st.st_ino;
	record->rdev = self.look.st.st_rdev;
	describe_flags(fd, record);
	describe_owner(fd, record); /* whoever has said it */
	record->part_len = (uint32_t)file_kind_of(kind)->describe(&self.look, record);
	note_sharing(file, record);
	struct file_record *const kept = room_for(file, record->part_len);
	if (!kept)
		return false;
	memcpy(kept, record, sizeof(*record) + record->part_len);
	return true;
}

/* In the pause: is the description still true? */
static bool refresh(int fd)
{
	struct file_record *record = self.table[fd].record;
	struct stat st;

	if (!record || os_fstat(fd, &st) < 0 || !is_same_file(record, &st))
		return false;
	const struct file_kind *kind = file_kind_of(record->kind);
	describe_flags(fd, record);
	return kind->refresh && kind->refresh(record, &st);
}

static struct file_record *record_of(int fd)
{
	return self.table[fd].record;
}

/* ---- an epoch ---- */

/* Those whose description failed are gone, or will be found in the pause. */
static void drop(int index)
{
	memmove(self.present + index, self.present + index + 1,
		(size_t)(self.count - index - 1) * sizeof(*self.present));
	self.count--;
	self.total = -1;
	share_forget();
}

static bool has_inode(uint64_t ino)
{
	for (int i = 0; i < self.count; i++)
		if (self.table[self.present[i]].record->ino == ino)
			return true;
	return false;
}

int file_find(uint64_t ino, bool (*is_it)(int fd, const void *context), const void *context)
{
	for (int i = 0; i < self.count; i++)
		if (self.table[self.present[i]].record->ino == ino && is_it(self.present[i], context))
			return self.present[i];
	return -1;
}

void files_prepare(void)
{
	said_begin_look();
	if (!memory_is_there() || !enumerate())
		return;
	if (self.arena_used > ARENA_BYTES / 2)
		forget_all();
	const unsigned slices = 1 + (unsigned)self.count / SLICE;
	self.slice++;
	for (int i = 0; i < self.count; i++) {
		const int fd = self.present[i];
		const struct file_record *record = self.table[fd].record;
		const bool is_its_turn = (self.slice + (unsigned)fd) % slices == 0;
		if (record && (!is_its_turn || file_kind_of(record->kind)->is_refreshed_whole) &&
		    refresh(fd))
			continue;
		if (!describe(fd))
			drop(i--);
	}
	share_find(self.present, self.count, record_of);
	said_prune(has_inode);
}

static bool refresh_all(void)
{
	for (int i = 0; i < self.count; i++) {
		const int fd = self.present[i];
		if (!refresh(fd) && !describe(fd))
			return false;
	}
	return true;
}

void files_save(struct ledger_writer *writer)
{
	written_begin();
	if (!memory_is_there()) {
		ledger_veto(writer, "too little address space to look at descriptors: raise ulimit -v", NULL);
		return;
	}
	if (!are_all_known() && !enumerate()) {
		ledger_veto(writer, "/proc/self/fd cannot be read", NULL);
		return;
	}
	if (!refresh_all() && (!enumerate() || !refresh_all())) {
		ledger_veto(writer, "more descriptors than there is room for", NULL);
		return;
	}
	if (self.is_beyond)
		ledger_veto(writer, "a descriptor with a higher number than are kept", NULL);
	if (!share_find(self.present, self.count, record_of))
		ledger_veto(writer, "no memory to look at its descriptors", NULL);
	for (int i = 0; i < self.count; i++) {
		const struct file_record *record = self.table[self.present[i]].record;
		const size_t len = sizeof(*record) + record->part_len;
		memcpy(ledger_put(writer, LEDGER_FILE, len), record, len);
		const struct file_kind *kind = file_kind_of(record->kind);
		if (kind->save && record->shares == record->fd)
			kind->save(record, writer);
	}
}
