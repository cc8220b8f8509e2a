/* Messages: one line, one write, errno untouched. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "say.h"

static char heard[4096];
static int saved_stderr, pipe_end;

static void listen_begin(void)
{
	int ends[2];

	/* A packet pipe keeps writes apart: each read below returns one write. */
	cr_assert_eq(pipe2(ends, O_DIRECT | O_CLOEXEC), 0);
	saved_stderr = dup(2);
	dup2(ends[1], 2);
	close(ends[1]);
	pipe_end = ends[0];
}

/* What the first write brought; and there was no second. */
static const char *listen_end(void)
{
	dup2(saved_stderr, 2);
	close(saved_stderr);
	ssize_t n = read(pipe_end, heard, sizeof(heard) - 1);
	heard[n > 0 ? n : 0] = 0;
	char more[16];
	ssize_t rest = n > 0 ? read(pipe_end, more, sizeof(more)) : 0;
	close(pipe_end);
	cr_assert_eq(rest, 0, "more than one write");
	return heard;
}

Test(say, a_message_is_one_write_of_one_line)
{
	listen_begin();
	say(SAY_WARN, "a.pool", "found %d; %s", 7, "look");
	cr_assert_str_eq(listen_end(), "heapsake: a.pool: found 7; look\n");
}

Test(say, a_newline_cannot_forge_a_second_message)
{
	listen_begin();
	say(SAY_ERROR, "a\nheapsake: b", "x\ny");
	cr_assert_str_eq(listen_end(), "heapsake: a heapsake: b: x y\n");
}

Test(say, errno_survives)
{
	struct refusal why;

	listen_begin();
	close(2); /* even a failing write leaves errno alone */
	errno = 4711;
	say(SAY_ERROR, "o", "x");
	say_line("x");
	refuse(&why, STATUS_BUSY, "o", "x");
	say_refusal(&why);
	int found = errno;
	listen_end();
	cr_assert_eq(found, 4711);
}

/* In a child: whether it lives; waits: a SIGPIPE does, and must go on to. */
static int say_to_nobody(bool waits)
{
	sigset_t set;
	int ends[2];

	signal(SIGPIPE, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	if (waits) {
		sigprocmask(SIG_BLOCK, &set, NULL);
		raise(SIGPIPE);
	}
	if (pipe(ends) != 0)
		return 1;
	close(ends[0]);
	dup2(ends[1], 2);
	say_line("x");
	sigset_t pending, mask;
	sigpending(&pending);
	sigprocmask(SIG_BLOCK, NULL, &mask);
	return sigismember(&pending, SIGPIPE) != waits || sigismember(&mask, SIGPIPE) != waits;
}

Test(say, who_reads_no_more_kills_nobody)
{
	for (int waits = 0; waits < 2; waits++) {
		int status = -1;
		const pid_t pid = fork();
		if (pid == 0)
			_exit(say_to_nobody(waits));
		cr_assert_eq(waitpid(pid, &status, 0), pid);
		cr_assert_eq(status, 0, "wait status 0x%x", (unsigned)status);
	}
}

/* How many bytes of a line come to what is stderr's number now; in a child. */
static int said_to(int fd, int other_end)
{
	int count = 0;

	dup2(fd, 2);
	say_line("x");
	if (other_end < 0)
		return (int)lseek(2, 0, SEEK_END);
	ioctl(other_end, FIONREAD, &count);
	return count;
}

static int said_elsewhere(bool had_stderr)
{
	char path[] = "/tmp/heapsake-say-XXXXXX";
	int pipe_ends[2], socket_ends[2];
	const int data = mkstemp(path), log = open(path, O_WRONLY | O_APPEND);

	unlink(path);
	if (data < 0 || log < 0 || pipe(pipe_ends) != 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM, 0, socket_ends) != 0)
		return 1;
	if (!had_stderr)
		close(2);
	say_note_stderr();
	if (said_to(data, -1) != 0)
		return 2;
	if (said_to(socket_ends[0], socket_ends[1]) != 0)
		return 3;
	if (said_to(pipe_ends[1], pipe_ends[0]) != 2)
		return 4;
	if (said_to(log, -1) != (had_stderr ? 2 : 0))
		return 5;
	if (ftruncate(data, 0) != 0 || dup2(data, 2) != 2)
		return 6;
	say_note_stderr(); /* some do start programs with such a one */
	return said_to(data, -1) == 2 ? 0 : 7;
}

Test(say, what_a_program_has_opened_under_the_number_of_its_stderr_is_spared)
{
	for (int had_stderr = 0; had_stderr < 2; had_stderr++) {
		int status = -1;
		const pid_t pid = fork();
		if (pid == 0)
			_exit(said_elsewhere(had_stderr));
		cr_assert_eq(waitpid(pid, &status, 0), pid);
		cr_assert_eq(status, 0, "wait status 0x%x", (unsigned)status);
	}
}

Test(say, levels_are_obeyed_and_reports_are_not_subject_to_them)
{
	listen_begin();
	say_set_level(SAY_ERROR);
	say(SAY_WARN, "o", "hidden");
	say_line("shown %s", "anyway");
	cr_assert_str_eq(listen_end(), "shown anyway\n");
	cr_assert(!say_has_level(SAY_WARN));
	cr_assert(say_has_level(SAY_ERROR));
	say_set_level(SAY_DEBUG);
	cr_assert(say_has_level(SAY_DEBUG));
}

Test(say, what_is_too_long_is_cut_and_still_a_line)
{
	static char text[4000];

	memset(text, 'x', sizeof(text) - 1);
	listen_begin();
	say(SAY_ERROR, "o", "%s", text);
	const char *line = listen_end();
	cr_assert_eq(line[strlen(line) - 1], '\n');
	cr_assert_gt(strlen(line), 1000);
	struct refusal why;
	refuse(&why, STATUS_USAGE, text, "%s", text);
	cr_assert_lt(strlen(why.line), sizeof(why.line));
}

Test(say, a_refusal_carries_status_and_line)
{
	struct refusal why;

	cr_assert_eq(refuse(&why, STATUS_CORRUPT, "a.pool", "found %d", 1), STATUS_CORRUPT);
	cr_assert_eq(why.status, STATUS_CORRUPT);
	listen_begin();
	say_refusal(&why);
	cr_assert_str_eq(listen_end(), "heapsake: refused: a.pool: found 1\n");
}

static void print_trace(void)
{
	say_line("trace");
}

static void print_trace_and_die(void)
{
	say_die("trace", "broken");
}

static int die_in_child(void (*trace)(void), char *ret_text, size_t len)
{
	int ends[2], status;

	cr_assert_eq(pipe(ends), 0);
	pid_t child = fork();
	if (child == 0) {
		dup2(ends[1], 2);
		signal(SIGABRT, SIG_DFL);
		say_set_backtrace(trace);
		say_die("heap", "bad %s", "pointer");
	}
	close(ends[1]);
	size_t have = 0;
	for (ssize_t n; (n = read(ends[0], ret_text + have, len - 1 - have)) > 0;)
		have += (size_t)n;
	ret_text[have] = 0;
	close(ends[0]);
	cr_assert_eq(waitpid(child, &status, 0), child);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

Test(say, dying_prints_the_line_then_the_backtrace_then_aborts)
{
	char text[256];

	cr_assert_eq(die_in_child(print_trace, text, sizeof(text)), SIGABRT);
	cr_assert_str_eq(text, "heapsake: heap: bad pointer\ntrace\n");
	cr_assert_eq(die_in_child(NULL, text, sizeof(text)), SIGABRT);
	cr_assert_str_eq(text, "heapsake: heap: bad pointer\n");
}

Test(say, a_backtrace_that_dies_dies_once)
{
	char text[256];

	cr_assert_eq(die_in_child(print_trace_and_die, text, sizeof(text)), SIGABRT);
	cr_assert_str_eq(text, "heapsake: heap: bad pointer\nheapsake: trace: broken\n");
}
