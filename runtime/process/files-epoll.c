/*
 * An epoll descriptor's entries hang on a description and the number it was entered by. They are
 * entered again when all descriptors are there; an entry whose number means something else by now
 * is entered through a description of the same file, put under that number for the moment.
 * Counters, timers and the like are all one file: of which of them an entry is the kernel is asked.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "descriptor.h"
#include "files-kind.h"
#include "os.h"

/* LEDGER_EPOLL: one entry. */
struct epoll_record {
	uint32_t epoll;
	uint32_t fd; /* it was entered by */
	uint64_t data;
	uint64_t ino; /* of what was entered */
	uint32_t events;
	uint32_t now; /* 1 + a number of what was entered; NOWHERE; 0: it is known by ino */
};
#define NOWHERE UINT32_MAX
#define ASKED_MAX 64 /* of one epoll: the kernel goes through its entries each time */

static bool claims(const struct file_look *look)
{
	return file_is_called(look, "anon_inode:[eventpoll]");
}

static size_t describe(const struct file_look *look, struct file_record *record)
{
	(void)look, (void)record;
	return 0;
}

/* How many of the records put since `start` have the number of this one, the last. */
static unsigned nth_of(const struct epoll_record *entry, const struct ledger_writer *writer,
		       size_t start)
{
	struct ledger_reader reader = {.bytes = writer->bytes + start, .len = writer->len - start};
	const struct epoll_record *other;
	unsigned nth = 0;
	size_t len;

	while ((other = ledger_next(&reader, LEDGER_EPOLL, &len)) && other != entry)
		nth += other->fd == entry->fd;
	return nth;
}

struct question {
	const struct epoll_record *entry;
	unsigned nth;
};

static bool is_entered(int fd, const void *context)
{
	const struct question *question = context;
	const struct epoll_record *entry = question->entry;

	return os_compare_entered(fd, (int)entry->epoll, entry->fd, question->nth) == 0;
}

static uint32_t number_of(const struct epoll_record *entry, unsigned nth)
{
	const struct question question = {entry, nth};
	const int answer = os_compare_entered((int)entry->fd, (int)entry->epoll, entry->fd, nth);

	if (answer == 0)
		return entry->fd + 1;
	if (answer < 0 && answer != -EBADF) /* the kernel does not tell */
		return 0;
	const int fd = file_find(entry->ino, is_entered, &question);
	return fd < 0 ? NOWHERE : (uint32_t)fd + 1;
}

static void save(const struct file_record *record, struct ledger_writer *writer)
{
	const size_t start = writer->len;
	struct file_info info;
	unsigned asked = 0;
	const char *at;

	if (!file_info_open(&info, (int)record->fd)) {
		ledger_veto(writer, "an epoll descriptor that /proc does not show", NULL);
		return;
	}
	while (file_info_next(&info)) {
		if (!(at = file_info_word(&info, "tfd:")))
			continue;
		struct epoll_record *entry = ledger_put(writer, LEDGER_EPOLL, sizeof(*entry));
		entry->epoll = record->fd;
		entry->fd = (uint32_t)file_number(&at, 10);
		if ((at = file_info_word(&info, "events:")))
			entry->events = (uint32_t)file_number(&at, 16);
		if ((at = file_info_word(&info, "data:")))
			entry->data = file_number(&at, 16);
		if ((at = file_info_word(&info, "ino:")))
			entry->ino = file_number(&at, 16);
		if (entry->ino == record->ino && asked++ < ASKED_MAX)
			entry->now = number_of(entry, nth_of(entry, writer, start));
	}
	file_info_close(&info);
}

static int make(const struct file_record *record, const struct ledger_reader *state,
		      struct line *why)
{
	(void)record, (void)state, (void)why;
	return os_epoll_create(O_CLOEXEC);
}

/* Both ends of a pipe are the same file. */
static bool fits(const struct file_record *file, const struct epoll_record *entry)
{
	const uint32_t access = file->status & O_ACCMODE;

	return file->ino == entry->ino && (file->mode & S_IFMT) &&
	       !(access == O_WRONLY && entry->events & EPOLLIN) &&
	       !(access == O_RDONLY && entry->events & EPOLLOUT);
}

/* The descriptor under which what was entered is to be found now; -1: it is gone, and with it the
 * entry. */
static int target_of(const struct epoll_record *entry, const struct ledger_reader *state)
{
	struct ledger_reader reader = {.bytes = state->bytes, .len = state->len};
	const struct file_record *file;
	int other = -1;
	size_t len;

	if (entry->now)
		return entry->now == NOWHERE ? -1 : (int)(entry->now - 1);
	while ((file = ledger_next(&reader, LEDGER_FILE, &len))) {
		if (file->fd == entry->fd && file->ino == entry->ino)
			return (int)file->fd;
		if (other < 0 && fits(file, entry))
			other = (int)file->fd;
	}
	return other;
}

/* It has fired, and is not to fire before the program says so: not even that its connection is
 * gone, which it is by now, while a thread is in the middle of serving it. */
static bool has_fired(const struct epoll_record *entry)
{
	return entry->events & EPOLLONESHOT && !(entry->events & (EPOLLERR | EPOLLHUP));
}

/* Only the kernel puts an entry to rest, when it fires; so it does that here, for whatever it is
 * ready for. If for nothing, it is left with what cannot be refused, errors and hang-ups. Nothing
 * else is in this epoll yet. */
static int fire(const struct epoll_record *entry, int fd)
{
	struct epoll_event event = {.events = entry->events | EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP,
				    .data = {.u64 = entry->data}};
	struct epoll_event fired;
	const int error = os_epoll_ctl((int)entry->epoll, EPOLL_CTL_ADD, fd, &event);

	if (error || os_epoll_take((int)entry->epoll, &fired, 1) == 1)
		return error;
	event.events = entry->events;
	return os_epoll_ctl((int)entry->epoll, EPOLL_CTL_MOD, fd, &event);
}

static int enter(const struct epoll_record *entry, int fd)
{
	struct epoll_event event = {.events = entry->events, .data = {.u64 = entry->data}};
	const int error = has_fired(entry) ? fire(entry, fd) :
			  os_epoll_ctl((int)entry->epoll, EPOLL_CTL_ADD, fd, &event);

	return error == -EEXIST ? 0 : error;
}

/* By a number that means something else, or nothing, now. */
static int enter_by(const struct epoll_record *entry, int target)
{
	const int number = (int)entry->fd;
	const int flags = os_fcntl(number, F_GETFD, NULL);
	const int aside = flags < 0 ? -1 : os_fcntl(number, F_DUPFD_CLOEXEC, NULL);
	int error = os_dup3(target, number, O_CLOEXEC);

	if (error >= 0)
		error = enter(entry, number);
	if (aside >= 0) {
		os_dup3(aside, number, flags & FD_CLOEXEC ? O_CLOEXEC : 0);
		os_close(aside);
	} else {
		os_close(number);
	}
	return error;
}

/* Whether the caller's 0-2 can be waited for is the caller's business: a file cannot. */
static int enter_all(const struct file_record *record, const struct ledger_reader *state,
		     bool are_fired)
{
	struct ledger_reader reader = {.bytes = state->bytes, .len = state->len};
	const struct epoll_record *entry;
	size_t len;
	int error = 0;

	while (!error && (entry = ledger_next(&reader, LEDGER_EPOLL, &len))) {
		if (entry->epoll != record->fd || has_fired(entry) != are_fired)
			continue;
		const int target = target_of(entry, state);
		if (target < 0)
			continue;
		error = target == (int)entry->fd ? enter(entry, target) : enter_by(entry, target);
		if (error == -EPERM)
			error = 0;
	}
	return error;
}

static int finish(const struct file_record *record, const struct ledger_reader *state,
			struct line *why)
{
	int error = enter_all(record, state, true);

	if (!error)
		error = enter_all(record, state, false);
	if (error)
		line_add(why, "an entry of an epoll descriptor");
	return error;
}

const struct file_kind file_epoll = {
	.claims = claims,
	.describe = describe,
	.save = save,
	.make = make,
	.finish = finish,
};
