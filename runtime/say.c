/*
 * The problem: a message may be due inside malloc, before libc is ready, in a forked child, or
 * while another thread holds stdio's lock. The trick: the line is made by vsnprintf in a buffer on
 * the stack and leaves by one write(2). The guarantee: no allocation, no lock, errno as it was,
 * and lines of several threads or processes do not mix.
 *
 * A program that has closed its stderr, or had none, gets its number for the next thing it opens: a
 * database, a connection. That must not find our lines in it.
 */
#include "say.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "ours.h"
#include "task.h"

#define LINE_MAX_BYTES 1280

/* Written at start-up, before there are threads; read by any thread. */
static enum say_level say_level = SAY_WARN;
static void (*say_backtrace)(void);
static struct {
	bool is_noted, was_open;
	dev_t dev;
	ino_t ino;
} noted OURS; /* stderr, as it was at the start of this life */

struct line {
	size_t len;
	char text[LINE_MAX_BYTES];
};

static void line_add_args(struct line *line, const char *format, va_list args)
{
	size_t room = sizeof(line->text) - 1 - line->len; /* 1: the newline */
	int n = vsnprintf(line->text + line->len, room, format, args);

	if (n > 0)
		line->len += (size_t)n < room ? (size_t)n : room - 1;
}

__attribute__((format(printf, 2, 3))) static void
line_add(struct line *line, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	line_add_args(line, format, args);
	va_end(args);
}

/* The program may never write there, and would be killed by a line that is not its own. A SIGPIPE
 * it has waiting already stays. */
void say_write(int fd, const char *text, size_t len)
{
	const uint64_t pipe = UINT64_C(1) << (SIGPIPE - 1);
	const uint64_t before = os_sigmask(~UINT64_C(0));
	siginfo_t ours;

	os_sigmask(before | pipe); /* of the others each may end a write that does not come on */
	const bool waits = (before & pipe) && (os_sigpending() & pipe);
	if (os_write(fd, text, len) == -EPIPE && !waits)
		os_sigtake(pipe, &ours);
	os_sigmask(before);
}

void say_note_stderr(void)
{
	struct stat st;

	noted.was_open = os_fstat(STDERR_FILENO, &st) == 0;
	noted.dev = noted.was_open ? st.st_dev : 0;
	noted.ino = noted.was_open ? st.st_ino : 0;
	noted.is_noted = true;
}

/* A log, where stderr was led to meanwhile, is only written to, or at its end. */
static bool is_for_words(void)
{
	struct stat st;

	if (!noted.is_noted)
		return true;
	if (os_fstat(STDERR_FILENO, &st) != 0)
		return false;
	if (noted.was_open && st.st_dev == noted.dev && st.st_ino == noted.ino)
		return true;
	const int flags = os_fcntl(STDERR_FILENO, F_GETFL, NULL);
	if (S_ISREG(st.st_mode))
		return noted.was_open && ((flags & O_ACCMODE) == O_WRONLY || flags & O_APPEND);
	return S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode);
}

void say_to_stderr(const char *text, size_t len)
{
	if (is_for_words())
		say_write(STDERR_FILENO, text, len);
}

static void line_write(struct line *line)
{
	/* One fact, one line: a newline inside a path or value would forge a second message. */
	for (size_t i = 0; i < line->len; i++)
		if (line->text[i] == '\n')
			line->text[i] = ' ';
	line->text[line->len++] = '\n';
	say_to_stderr(line->text, line->len);
}

void say_set_level(enum say_level level)
{
	say_level = level;
}

bool say_has_level(enum say_level level)
{
	return level <= say_level;
}

static void say_args(const char *object, const char *format, va_list args)
{
	int saved_errno = errno;
	struct line line = {0};

	line_add(&line, "heapsake: %s: ", object);
	line_add_args(&line, format, args);
	line_write(&line);
	errno = saved_errno;
}

void say(enum say_level level, const char *object, const char *format, ...)
{
	va_list args;

	if (!say_has_level(level))
		return;
	va_start(args, format);
	say_args(object, format, args);
	va_end(args);
}

void say_line(const char *format, ...)
{
	int saved_errno = errno;
	struct line line = {0};
	va_list args;

	va_start(args, format);
	line_add_args(&line, format, args);
	va_end(args);
	line_write(&line);
	errno = saved_errno;
}

int refuse(struct refusal *ret_why, enum status status, const char *object, const char *format, ...)
{
	int saved_errno = errno;
	va_list args;
	size_t room = sizeof(ret_why->line);
	int n = snprintf(ret_why->line, room, "%s: ", object);

	if (n > 0 && (size_t)n < room) {
		va_start(args, format);
		vsnprintf(ret_why->line + n, room - (size_t)n, format, args);
		va_end(args);
	}
	ret_why->status = status;
	errno = saved_errno;
	return (int)status;
}

void say_refusal(const struct refusal *why)
{
	say_line("heapsake: refused: %s", why->line);
}

void say_set_backtrace(void (*print_backtrace)(void))
{
	say_backtrace = print_backtrace;
}

_Noreturn void say_die(const char *object, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say_args(object, format, args);
	va_end(args);
	if (say_backtrace) {
		void (*print_backtrace)(void) = say_backtrace;
		say_backtrace = NULL; /* it may die as well: once is enough */
		print_backtrace();
	}
	abort();
}
