/* What 0-2 are in the next life: the new caller's, or where the old one's had got to. */
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "two-lives.h"

TestSuite(callers, .init = scratch_open, .fini = scratch_close);

static void append_and_read(void)
{
	dup2(open(scratch_path("in"), O_RDONLY), 0);
	dup2(open(scratch_path("appended"), O_WRONLY | O_CREAT | O_APPEND, 0600), 1);
}

static void reads_three_writes_two(void)
{
	char bytes[3];

	EXPECT(read(0, bytes, 3) == 3 && write(1, "a\n", 2) == 2);
	both->fd[0] = dup(1);
	save();
	EXPECT(read(0, bytes, 3) == 3 && write(1, "b\n", 2) == 2);
}

static void goes_on_with_the_callers(void)
{
	char bytes[16];

	EXPECT(read(0, bytes, 3) == 3 && memcmp(bytes, "345", 3) == 0);
	EXPECT(write(both->fd[0], "b\n", 2) == 2);
	const int fd = open(scratch_path("appended"), O_RDONLY);
	EXPECT(read(fd, bytes, 16) == 6 && memcmp(bytes, "0\na\nb\n", 6) == 0);
}

Test(callers, redirected_input_goes_on_and_output_appears_once)
{
	const int in = open(scratch_path("in"), O_WRONLY | O_CREAT, 0600);
	const int out = open(scratch_path("appended"), O_WRONLY | O_CREAT, 0600);

	cr_assert(write(in, "0123456789", 10) == 10 && write(out, "0\n", 2) == 2);
	caller = append_and_read;
	two_lives(reads_three_writes_two, goes_on_with_the_callers);
}

/* A pipeline that is started again gives its beginning again: this happened without a word. */
static void pipe_to_read(void)
{
	int ends[2];

	EXPECT(pipe(ends) == 0 && write(ends[1], "012", 3) == 3 && dup2(ends[0], 0) == 0);
	hear();
}

static void reads_two(void)
{
	char bytes[2];

	EXPECT(read(0, bytes, 2) == 2 && dup(0) >= 0);
	save();
}

static void reads_it_again_and_it_is_told(void)
{
	char bytes[4];

	EXPECT(read(0, bytes, 4) == 3 && memcmp(bytes, "012", 3) == 0);
	EXPECT(is_told("stdin: was no file, and cannot be read on"));
}

Test(callers, pipe_that_is_read_from_its_beginning_is_told_once)
{
	caller = pipe_to_read;
	two_lives(reads_two, reads_it_again_and_it_is_told);
}

static const char *input;

static void file_to_read(void)
{
	dup2(open(scratch_path(input), O_RDWR | O_CREAT, 0600), 0);
	hear();
}

static void reads_another_and_it_is_told(void)
{
	EXPECT(is_told("stdin: is not the file that was being read"));
}

static void reads_on_and_nothing_is_told(void)
{
	EXPECT(!is_told("stdin"));
}

static void seeks(void)
{
	EXPECT(lseek(0, 2, SEEK_SET) == 2);
	save();
}

Test(callers, another_file_to_read_is_told)
{
	caller = file_to_read;
	input = "in";
	first_lives(seeks);
	second_lives(reads_on_and_nothing_is_told);
	input = "another";
	second_lives(reads_another_and_it_is_told);
}

static int caller_pipe[2];

static void pipe_of_this_life(void)
{
	dup2(caller_pipe[1], 1);
	close(0);
}

static void puts_it_aside(void)
{
	both->fd[0] = fcntl(1, F_DUPFD, 10);
	const int log = open(scratch_path("log"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
	EXPECT(log == 0 && dup2(log, 1) == 1 && close(log) == 0);
	save();
}

static void has_it_aside(void)
{
	struct stat st;

	EXPECT(fcntl(0, F_GETFD) == -1);
	EXPECT(write(both->fd[0], "!", 1) == 1 && write(1, "log", 3) == 3);
	EXPECT(stat(scratch_path("log"), &st) == 0 && st.st_size == 3);
}

Test(callers, what_was_the_callers_follows_the_new_one_wherever_it_is)
{
	char bytes[4];

	caller = pipe_of_this_life;
	cr_assert_eq(pipe(caller_pipe), 0);
	first_lives(puts_it_aside);
	cr_assert_eq(pipe(caller_pipe), 0); /* another caller */
	second_lives(has_it_aside);
	cr_assert_eq(read(caller_pipe[0], bytes, 4), 1);
}

static void terminal(void)
{
	const int master = posix_openpt(O_RDWR | O_NOCTTY);
	int unlocked = 0;

	ioctl(master, TIOCSPTLCK, &unlocked);
	dup2(ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY), 0);
	dup2(master, 2); /* it would hang up */
}

/* As the kernel has it, whose header and libc's do not go together. */
struct termios2 {
	unsigned input, output, control, local;
	unsigned char line, characters[19];
	unsigned input_speed, output_speed;
};
#define SPEED_OF_ANY_NUMBER 0010000u

static void set_speed(int tty, unsigned speed)
{
	struct termios2 terminal;

	EXPECT(ioctl(tty, TCGETS2, &terminal) == 0);
	terminal.control = (terminal.control & ~(unsigned)CBAUD) | SPEED_OF_ANY_NUMBER;
	terminal.input_speed = terminal.output_speed = speed;
	EXPECT(ioctl(tty, TCSETS2, &terminal) == 0);
}

static unsigned speed_of(int tty)
{
	struct termios2 terminal;

	return ioctl(tty, TCGETS2, &terminal) == 0 ? terminal.output_speed : 0;
}

static void goes_raw(void)
{
	struct termios raw;

	EXPECT(isatty(0) && tcgetattr(0, &raw) == 0);
	cfmakeraw(&raw);
	EXPECT(tcsetattr(0, TCSANOW, &raw) == 0);
	set_speed(0, 12345);
	both->fd[0] = dup(0);
	save();
}

static volatile sig_atomic_t has_winched;

static void note_winch(int number)
{
	has_winched = number;
}

static void is_raw(void)
{
	struct termios now;

	EXPECT(tcgetattr(0, &now) == 0 && !(now.c_lflag & (ICANON | ECHO)));
	EXPECT(tcgetattr(both->fd[0], &now) == 0 && !(now.c_lflag & ICANON));
	EXPECT(speed_of(0) == 12345);
	EXPECT(has_winched == SIGWINCH);
}

static void terminal_and_handler(void)
{
	signal(SIGWINCH, note_winch);
	terminal();
}

static void opens_it_again(void)
{
	both->fd[0] = open(ttyname(0), O_RDWR | O_NONBLOCK | O_NOCTTY);
	both->fd[1] = dup(both->fd[0]);
	both->fd[2] = open(ttyname(0), O_RDWR | O_NOCTTY);
	EXPECT(both->fd[2] >= 0 && fcntl(both->fd[2], F_SETFL, O_ASYNC) == 0);
	EXPECT(fcntl(both->fd[2], F_SETOWN, getppid()) == 0 && fcntl(both->fd[2], F_SETSIG, SIGURG) == 0);
	save();
}

static void each_waits_its_own_way(void)
{
	EXPECT(!(fcntl(0, F_GETFL) & O_NONBLOCK) && (fcntl(both->fd[0], F_GETFL) & O_NONBLOCK));
	EXPECT(fcntl(both->fd[1], F_SETFL, 0) == 0 && !(fcntl(both->fd[0], F_GETFL) & O_NONBLOCK));
	EXPECT((fcntl(both->fd[2], F_GETFL) & O_ASYNC) && !(fcntl(0, F_GETFL) & O_ASYNC));
	EXPECT(fcntl(both->fd[2], F_GETOWN) == getppid() && fcntl(both->fd[2], F_GETSIG) == SIGURG);
}

/* As libuv does. It became the caller's description, with which the caller's shell and all that it
 * starts did not wait for input any more. */
Test(callers, terminal_that_was_opened_again_is_no_copy_of_the_callers)
{
	caller = terminal;
	two_lives(opens_it_again, each_waits_its_own_way);
}

Test(callers, terminal_is_the_new_one_with_the_old_settings)
{
	caller = terminal_and_handler;
	two_lives(goes_raw, is_raw);
}
