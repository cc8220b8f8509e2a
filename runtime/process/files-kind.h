/*
 * Kinds of files: what a descriptor may stand for. files.c has the table of descriptors and knows
 * no kind; each kind is a struct file_kind of functions, in a file of its own; kinds.c finds them.
 *
 * A description is one struct file_record (LEDGER_FILE) with a part of the kind's own behind it.
 * What is long (contents of pipes, entries of an epoll) is in records of other kinds, named by
 * descriptor.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "line.h"
#include "say.h"
#include "ledger.h"

/* Numbers are on media. */
enum file_kind_number {
	FILE_REFUSED, /* cannot be kept: a veto, and its name */
	FILE_REGULAR, /* directories, too */
	FILE_NODE,
	FILE_TTY,
	FILE_PIPE,
	FILE_EVENTFD,
	FILE_TIMERFD,
	FILE_SIGNALFD,
	FILE_EPOLL,
	FILE_SOCKET,
	FILE_KINDS,
};

#define FILE_PATH_MAX 4096
#define FILE_PART_MAX (FILE_PATH_MAX + 256)

/* Records stand in ascending order of fd. */
struct file_record {
	uint32_t fd;
	uint32_t kind;
	uint32_t status; /* F_GETFL */
	uint32_t is_cloexec;
	uint32_t shares; /* the lowest descriptor of the same description; fd: this one */
	uint32_t callers; /* 1-3: is, or was made of, what the caller gave as 0-2; 0: neither */
	uint32_t mode;
	uint32_t part_len;
	int32_t owner;      /* of O_ASYNC: who is sent owner_signal; a thread, process or group */
	int32_t owner_kind;
	int32_t owner_signal;
	uint32_t reserved;
	uint64_t dev;
	uint64_t ino;
	uint64_t rdev;
	int64_t offset;
	char part[] __attribute__((aligned(8)));
};

/* What is to be seen of a descriptor from outside. */
struct file_look {
	int fd;
	struct stat st;
	char link[FILE_PATH_MAX]; /* /proc/self/fd/N: a path, or what it is */
};

struct file_kind {
	bool (*claims)(const struct file_look *look);
	/* the part behind the record's head; its length */
	size_t (*describe)(const struct file_look *look, struct file_record *record);
	/* In the pause: is the part as it was described? st is new. NULL: not to be known but by
	 * describing it again. */
	bool (*refresh)(struct file_record *record, const struct stat *st);
	bool is_refreshed_whole; /* refresh() misses nothing: no need to describe it again */
	/* In the pause: vetoes, and records besides the one that is put. May be NULL. */
	void (*save)(const struct file_record *record, struct ledger_writer *writer);
	/* In the constructor of a resume: a status and why. May be NULL. */
	int (*check)(const struct file_record *record, const struct ledger_reader *state,
		     struct refusal *ret_why);
	/* A descriptor of any number, or -errno and why. record->fd: it is in place already. */
	int (*make)(const struct file_record *record, const struct ledger_reader *state,
		    struct line *why);
	/* The caller's descriptor stays, and is made to fit. May be NULL. */
	int (*adopt)(const struct file_record *record, int fd, struct line *why);
	/* All descriptors are there. May be NULL. */
	int (*finish)(const struct file_record *record, const struct ledger_reader *state,
		      struct line *why);
};

extern const struct file_kind file_refused, file_regular, file_node, file_tty, file_pipe,
	file_eventfd, file_timerfd, file_signalfd, file_epoll, file_socket;

const struct file_kind *file_kind_of(uint32_t number); /* NULL: there is none */
/* file_kind_find() - always one: FILE_REFUSED at worst */
enum file_kind_number file_kind_find(const struct file_look *look);

/* ---- for kinds ---- */

bool file_text_begins(const char *text, const char *with);
bool file_is_called(const struct file_look *look, const char *link);
/* file_look_at() - false: there is no such descriptor */
bool file_look_at(int fd, struct file_look *ret_look);
/* file_kernels_own() - what people call a file that looks like one but is none; NULL: it is one */
const char *file_kernels_own(int fd);
/* file_links() - /proc/thread-self/fd, of the committer; it stays open */
int file_links(void);
/* file_link() - what /proc says of a descriptor; its length */
size_t file_link(int fd, char link[FILE_PATH_MAX]);

/* Lines of /proc/self/fdinfo/N. */
struct file_info {
	int fd;
	unsigned at, len;
	char line[256]; /* longer ones are cut */
	char chunk[2048];
};
bool file_info_open(struct file_info *info, int fd);
bool file_info_next(struct file_info *info);
void file_info_close(struct file_info *info);
/* file_info_word() - what stands behind this word of the line; NULL: it is not there */
const char *file_info_word(const struct file_info *info, const char *word);
uint64_t file_number(const char **at, unsigned base); /* blanks before it are skipped */

/* file_first() - the record of the lowest descriptor of this very object (pipe, socket, file). Two
 * file systems may give two files one number */
const struct file_record *file_first(const struct ledger_reader *state, uint32_t kind, uint64_t dev,
				     uint64_t ino);
/* file_find() - in the pause: a descriptor of this file of which is_it(); -1 */
int file_find(uint64_t ino, bool (*is_it)(int fd, const void *context), const void *context);
/* file_place() - `made` is moved to `fd`. 0 or -errno */
int file_place(int made, int fd, bool is_cloexec);
/* file_reopen() - another description of what an open descriptor stands for */
int file_reopen(int fd, int flags);
/* file_callers_terminal() - another description of it, or -errno: the caller has none */
int file_callers_terminal(int flags);
/* file_notice() - one line for people, on the caller's stderr, unless this life is quiet */
extern bool file_is_quiet;
extern uint64_t file_life_began_ns; /* CLOCK_REALTIME of files_open() */
void file_notice(const char *object, const char *fact);
/* file_tail_path() - where what is cut off of descriptor fd's file is saved */
void file_tail_path(struct line *path, unsigned fd);
