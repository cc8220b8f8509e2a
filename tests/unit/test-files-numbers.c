/* Numbers of descriptors: high ones, ours, and what they stand for at the last moment. */
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>

#include "ours.h"
#include "process/process.h"
#include "two-lives.h"

TestSuite(numbers, .init = scratch_open, .fini = scratch_close);

static void limit_to_64(void)
{
	const struct rlimit limit = {64, 64};

	EXPECT(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

static void has_a_number_beyond(void)
{
	const struct rlimit limit = {(1 << 20) + 100, (1 << 20) + 100};

	both->word = setrlimit(RLIMIT_NOFILE, &limit) == 0 && dup2(1, (1 << 20) + 1) >= 0;
	save();
}

/* Where fs.nr_open lets programs have such. */
Test(numbers, number_beyond_all_that_are_kept_is_vetoed)
{
	first_lives(has_a_number_beyond);
	if (both->word)
		cr_assert_not_null(strstr(both->writer.veto, "higher number"), "%s", both->writer.veto);
}

static void has_the_last_number(void)
{
	both->fd[0] = dup2(open("/dev/zero", O_RDONLY), 63);
	save();
}

static void has_it_under_the_limit(void)
{
	char c = 1;

	EXPECT(both->fd[0] == 63 && read(63, &c, 1) == 1 && c == 0);
	EXPECT(fcntl(2, F_GETFD) >= 0 && fcntl(62, F_GETFD) == -1);
}

Test(numbers, a_low_limit_with_the_last_number_taken_is_enough)
{
	caller = limit_to_64;
	two_lives(has_the_last_number, has_it_under_the_limit);
}

static void changes_all(void)
{
	const char *path = scratch_path("file");
	const int one = open(path, O_RDWR | O_CREAT, 0600), two = open(path, O_RDONLY);
	int ends[2];

	EXPECT(pipe(ends) == 0 && write(one, "0123456789", 10) == 10);
	files_prepare();
	EXPECT(dup2(one, two) == two && lseek(one, 3, SEEK_SET) == 3); /* another description */
	EXPECT(close(ends[0]) == 0 && open("/dev/null", O_WRONLY) == ends[0]); /* another file */
	both->fd[0] = one;
	both->fd[1] = two;
	both->fd[2] = ends[0];
	both->fd[3] = ends[1];
	both->fd[4] = fcntl(open("/dev/zero", O_RDONLY), F_DUPFD, 30); /* new ones */
	both->writer = (struct ledger_writer){.bytes = both->bytes, .capacity = LEDGER_BYTES};
	files_save(&both->writer);
}

static void changes_are_there(void)
{
	char c = 1;

	EXPECT(read(both->fd[0], &c, 1) == 1 && c == '3' && read(both->fd[1], &c, 1) == 1 && c == '4');
	EXPECT(write(both->fd[2], "x", 1) == 1);
	EXPECT(read(both->fd[4], &c, 1) == 1 && c == 0);
	signal(SIGPIPE, SIG_IGN);
	EXPECT(write(both->fd[3], "x", 1) == -1 && errno == EPIPE);
}

Test(numbers, what_changes_between_looking_and_saving_is_saved)
{
	two_lives(changes_all, changes_are_there);
}

static int held OURS = -1;

static void has_a_high_one(void)
{
	int fd = open("/dev/null", O_RDWR);

	both->fd[0] = fcntl(fd, F_DUPFD, 600);
	close(fd);
	held = open("/dev/zero", O_RDONLY);
	ours_fd_add(&held);
	save();
	both->fd[1] = held;
}

static void takes_the_number(void)
{
	char c = 1;

	EXPECT(write(both->fd[0], "x", 1) == 1);          /* the program's /dev/null */
	EXPECT(held != 600 && read(held, &c, 1) == 1 && c == 0); /* ours, moved */
	EXPECT(fcntl(both->fd[1], F_GETFD) == -1);        /* was not described */
}

static void makes_with_ours_in_the_way(void)
{
	held = fcntl(open("/dev/zero", O_RDONLY), F_DUPFD_CLOEXEC, 600);
	EXPECT(held == 600);
	ours_fd_add(&held);
	make_and_go_on();
}

Test(numbers, ours_are_not_described_and_make_room)
{
	first_lives(has_a_high_one);
	second = takes_the_number;
	cr_assert_eq(in_child(makes_with_ours_in_the_way), 0, "the second life");
}
