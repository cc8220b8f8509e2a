/*
 * execve by the owner itself: a wrapper script's last line, `exec redis-server`, is still the
 * program the pool was given to, so it takes the pool along.
 *
 * Our entries left the environment at start, lest children inherit them; here they go back in, but
 * only for the very process that owns the pool: a forked or vforked child has another pid, and
 * posix_spawn does not come by. The program's own LD_PRELOAD stays behind ours. What the new
 * program finds is a pool whose lock was released by the exec, and its constructor starts over.
 *
 * Under keep=process what an image holds is the program before: the new one is told by the keeper's
 * note that it has become another, begins an image of its own, and that is what a resume starts.
 * Killed between the two, the first program of the chain starts afresh. One that cannot be kept
 * (successor.c) gets nothing of ours but the pool's lock, and info says why; a resume goes on from
 * just before it. So does what a program becomes that is not kept any more (told-calls.c: `unshare
 * -n PROG`).
 *
 * Nothing is allocated: the entries were saved in static memory, and the new environment is an
 * array on the stack.
 */
#include "preload.h"

#include <alloca.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "checkpoint/committer.h"
#include "checkpoint/cut.h"
#include "enter.h"
#include "libc-main.h"
#include "line.h"
#include "os.h"
#include "process/process.h"
#include "say.h"
#include "successor.h"

#define SAVED_BYTES 32768
#define SAVED_ENTRIES 16
#define LAST_EPOCH_MS 1000

static const char preload_name[] = "LD_PRELOAD=";
static const char pool_name[] = "HEAPSAKE_POOL=";
static const char keeper_name[] = "HEAPSAKE_KEEPER=";

/* Set before main, constant afterwards. saved_preload is "LD_PRELOAD=" and our own entry. */
static char saved[SAVED_BYTES];
static size_t saved_len;
static char *saved_entries[SAVED_ENTRIES];
static unsigned saved_count;
static const char *saved_preload;
/* Of the exec that is under way; keep=process */
static char keeper_entry[32];
static bool is_unkept;

static int (*next_execve)(const char *, char *const *, char *const *);
static int (*next_execvpe)(const char *, char *const *, char *const *);
static int (*next_fexecve)(int, char *const *, char *const *);
static int (*next_execveat)(int, const char *, char *const *, char *const *, int);

static bool has_prefix(const char *entry, const char *prefix)
{
	return strncmp(entry, prefix, strlen(prefix)) == 0;
}

static char *save(const char *text, size_t len)
{
	if (saved_len + len + 1 > sizeof(saved))
		return NULL;
	char *copy = saved + saved_len;
	memcpy(copy, text, len);
	copy[len] = '\0';
	saved_len += len + 1;
	return copy;
}

/* The pool as it is called from everywhere, for the owner may change its directory: absolute, and
 * with percent signs doubled. */
static char *save_pool(void)
{
	char value[2 * CONFIG_PATH_MAX], *end = value;
	const size_t at = saved_len;
	for (const char *c = preload.pool.path; *c; c++) {
		if (*c == '%')
			*end++ = '%';
		*end++ = *c;
	}
	if (!save(pool_name, strlen(pool_name)))
		return NULL;
	saved_len--;
	return save(value, (size_t)(end - value)) ? saved + at : NULL;
}

/* Our entry of LD_PRELOAD, absolute for the same reason; ld.so looks up a bare name by itself. */
static int save_preload(const char *own, size_t len)
{
	char directory[CONFIG_PATH_MAX];
	const size_t at = saved_len;
	const bool is_relative = own[0] != '/' && own[0] != '$' && memchr(own, '/', len);
	const long directory_len = is_relative ? os_getcwd(directory, sizeof(directory)) : 0;

	if (directory_len < 0 || !save(preload_name, strlen(preload_name)))
		return -E2BIG;
	saved_len--;
	if (is_relative) {
		if (!save(directory, strlen(directory)))
			return -E2BIG;
		saved[saved_len - 1] = '/';
	}
	if (!save(own, len))
		return -E2BIG;
	saved_preload = saved + at;
	return 0;
}

static int save_entry(const char *entry)
{
	if (has_prefix(entry, preload_name)) {
		size_t len;
		const char *own = config_own_preload(entry + strlen(preload_name), &len);
		return own ? save_preload(own, len) : 0;
	}
	/* --new and --epoch were meant for the first of a chain: its successor goes on from it. */
	if (!has_prefix(entry, "HEAPSAKE_") || has_prefix(entry, "HEAPSAKE_QUIET=") ||
	    has_prefix(entry, "HEAPSAKE_NEW=") || has_prefix(entry, "HEAPSAKE_EPOCH=") ||
	    has_prefix(entry, keeper_name)) /* each time another */
		return 0;
	if (saved_count == SAVED_ENTRIES)
		return -E2BIG;
	saved_entries[saved_count] =
		has_prefix(entry, pool_name) ? save_pool() : save(entry, strlen(entry));
	return saved_entries[saved_count++] ? 0 : -E2BIG;
}

void exec_init(void)
{
	next_execve = foreign_symbol("execve");
	next_execvpe = foreign_symbol("execvpe");
	next_fexecve = foreign_symbol("fexecve");
	next_execveat = foreign_symbol("execveat");
}

int exec_save(char *const *envp)
{
	int error = 0;
	for (; envp && *envp && !error; envp++)
		error = save_entry(*envp);
	/* One start line is enough for a chain of programs. */
	if (!error && saved_count < SAVED_ENTRIES)
		saved_entries[saved_count++] = (char *)(uintptr_t)"HEAPSAKE_QUIET=1";
	return error;
}

static bool is_owner(void)
{
	return malloc_is_active && os_getpid() == preload.owner;
}

/* Not where children inherit (HEAPSAKE_CHILDREN): there the environment has it all. */
static bool gives_pool(void)
{
	return saved_count && is_owner() && !is_unkept && !process_is_given_up;
}

/* The new program was given a pool, or told to do without, by whoever calls. */
static bool says_itself(char *const *envp)
{
	for (; envp && *envp; envp++)
		if (has_prefix(*envp, "HEAPSAKE_"))
			return true;
	return false;
}

static size_t count_of(char *const *strings)
{
	size_t count = 0;
	while (strings && strings[count])
		count++;
	return count;
}

/* ours + ':' + the rest of theirs; returns ret_buffer, which has room for both. A program that is
 * linked with us was not preloaded, and its successor is what it is: theirs, or NULL. */
static char *preload_joined(char *ret_buffer, const char *theirs)
{
	if (!saved_preload)
		return (char *)(uintptr_t)theirs;
	char *end = stpcpy(ret_buffer, saved_preload);
	if (theirs) {
		*end++ = ':';
		strcpy(end, theirs + strlen(preload_name));
	}
	return ret_buffer;
}

static size_t len_or_0(const char *text)
{
	return text ? strlen(text) : 0;
}

static const char *find_preload(char *const *envp)
{
	for (; envp && *envp; envp++)
		if (has_prefix(*envp, preload_name))
			return *envp;
	return NULL;
}

static void fill(char **ret_envp, char *const *envp, char *preload_entry)
{
	if (preload_entry)
		*ret_envp++ = preload_entry;
	for (unsigned i = 0; i < saved_count; i++)
		*ret_envp++ = saved_entries[i];
	if (keeper_entry[0])
		*ret_envp++ = keeper_entry;
	for (; envp && *envp; envp++)
		if (!has_prefix(*envp, preload_name))
			*ret_envp++ = *envp;
	*ret_envp = NULL;
}

/* keep=heap, or nothing more will be kept: what the program leaves behind is what the pool holds.
 * It goes on if there is no such program, so this is not the end of its epochs. In the middle of a
 * section something is half done: then, as at an exit, the newest epoch is what the pool holds. */
static void take_epoch(void)
{
	const int errno_before = errno;
	const bool is_wanted =
		is_owner() && committer_is_open() && (!process_is_kept || is_unkept);

	if (is_wanted && cut_is_in_section())
		main_tell_section("exec");
	else if (is_wanted)
		committer_checkpoint(LAST_EPOCH_MS);
	errno = errno_before;
}

/* keep=process: the keeper's note goes along. The committer is held. */
static void hand_over(void)
{
	struct line line = line_in(keeper_entry, sizeof(keeper_entry));
	const int fd = process_is_kept ? enter_hand_over() : -1;

	if (fd < 0)
		return;
	line_add(&line, keeper_name);
	line_add_number(&line, (unsigned)fd, 10);
}

/* With an offset of its own; -errno */
static int open_again(int fd)
{
	char path[32];
	struct line line = line_in(path, sizeof(path));

	line_add(&line, "/proc/self/fd/");
	line_add_number(&line, (unsigned)fd, 10);
	return successor_open(AT_FDCWD, path);
}

static int open_at(int directory, const char *path)
{
	return path[0] ? successor_open(directory, path) : open_again(directory);
}

/* A file to look at, or -1: nobody asks. */
#define LOOKED_AT(opened) (is_owner() && process_is_kept ? (opened) : -1)

/* Only the lock is left, so that info is about a running program, and nobody else becomes it. */
static void leave_behind(const struct successor *successor)
{
	char why[192];
	struct line line = line_in(why, sizeof(why));

	line_add(&line, "it has become ");
	line_add(&line, successor->path);
	line_add(&line, ", which ");
	line_add(&line, successor->unkept);
	committer_veto(why);
	os_fcntl(preload.pool.fd, F_SETFD, NULL);
	say(SAY_WARN, preload.pool.path, "the program becomes %s, which %s; no epoch is taken any more, "
	    "and a resume goes on from here", successor->path, successor->unkept);
}

/* The signal that stops threads outlives an exec if it is pending, and its handler does not: nobody
 * may send it any more. */
static bool hold_committer(int program)
{
	const int errno_before = errno;
	const bool is_held = is_owner() && committer_is_open();
	struct successor successor;

	successor_look(program, &successor);
	is_unkept = successor.unkept;
	take_epoch();
	if (is_held)
		committer_hold();
	if (is_held && is_unkept)
		leave_behind(&successor);
	else if (is_owner() && process_is_given_up) /* info has said why */
		os_fcntl(preload.pool.fd, F_SETFD, NULL);
	errno = errno_before;
	return is_held;
}

/* There is no such program: this one goes on. */
static int go_on(bool is_held, int result)
{
	const int errno_before = errno;

	if (is_owner() && (is_unkept || process_is_given_up))
		os_fcntl(preload.pool.fd, F_SETFD, (void *)FD_CLOEXEC);
	if (is_held && is_unkept)
		committer_veto(NULL);
	is_unkept = false;
	if (is_held) {
		if (keeper_entry[0])
			enter_take_back();
		keeper_entry[0] = 0;
		committer_go_on();
	}
	errno = errno_before;
	return result;
}

/* LEAVE() - the call that makes us another program; `opened` is its file, to be looked at */
#define LEAVE(opened, call) ({ \
		const bool is_held_ = hold_committer(LOOKED_AT(opened)); \
		go_on(is_held_, call); \
	})

/* ENVIRONMENT() - the array the new program gets, on the caller's stack where it must differ. */
#define ENVIRONMENT(envp) \
	(!gives_pool() || says_itself(envp) ? (envp) : ({ \
		const char *theirs_ = find_preload(envp); \
		char *buffer_ = alloca(len_or_0(saved_preload) + len_or_0(theirs_) + 2); \
		char **filled_ = alloca((count_of(envp) + saved_count + 3) * sizeof(char *)); \
		hand_over(); \
		fill(filled_, envp, preload_joined(buffer_, theirs_)); \
		(char *const *)filled_; \
	}))

/* ARGUMENTS() - the arguments after `first` up to the NULL, as an array; leaves `rest` behind it */
#define ARGUMENTS(first, rest) ({ \
		size_t count_ = 1; \
		va_list counting_; \
		va_copy(counting_, rest); \
		while (va_arg(counting_, char *)) \
			count_++; \
		va_end(counting_); \
		char **argv_ = alloca((count_ + 1) * sizeof(char *)); \
		argv_[0] = (char *)(uintptr_t)(first); \
		for (size_t i_ = 1; i_ <= count_; i_++) \
			argv_[i_] = va_arg(rest, char *); \
		argv_; \
	})

INTERPOSE int execve(const char *path, char *const argv[], char *const envp[])
{
	return LEAVE(successor_open(AT_FDCWD, path), next_execve(path, argv, ENVIRONMENT(envp)));
}

INTERPOSE int execv(const char *path, char *const argv[])
{
	return LEAVE(successor_open(AT_FDCWD, path), next_execve(path, argv, ENVIRONMENT(environ)));
}

INTERPOSE int execvp(const char *file, char *const argv[])
{
	return LEAVE(successor_find(file), next_execvpe(file, argv, ENVIRONMENT(environ)));
}

INTERPOSE int execvpe(const char *file, char *const argv[], char *const envp[])
{
	return LEAVE(successor_find(file), next_execvpe(file, argv, ENVIRONMENT(envp)));
}

INTERPOSE int fexecve(int fd, char *const argv[], char *const envp[])
{
	return LEAVE(open_again(fd), next_fexecve(fd, argv, ENVIRONMENT(envp)));
}

INTERPOSE int execveat(int dir, const char *path, char *const argv[], char *const envp[], int flags)
{
	return LEAVE(open_at(dir, path), next_execveat(dir, path, argv, ENVIRONMENT(envp), flags));
}

INTERPOSE int execl(const char *path, const char *arg, ...)
{
	va_list rest;
	va_start(rest, arg);
	char **argv = ARGUMENTS(arg, rest);
	va_end(rest);
	return LEAVE(successor_open(AT_FDCWD, path), next_execve(path, argv, ENVIRONMENT(environ)));
}

INTERPOSE int execlp(const char *file, const char *arg, ...)
{
	va_list rest;
	va_start(rest, arg);
	char **argv = ARGUMENTS(arg, rest);
	va_end(rest);
	return LEAVE(successor_find(file), next_execvpe(file, argv, ENVIRONMENT(environ)));
}

INTERPOSE int execle(const char *path, const char *arg, ...)
{
	va_list rest;
	va_start(rest, arg);
	char **argv = ARGUMENTS(arg, rest);
	char *const *envp = va_arg(rest, char *const *);
	va_end(rest);
	return LEAVE(successor_open(AT_FDCWD, path), next_execve(path, argv, ENVIRONMENT(envp)));
}
