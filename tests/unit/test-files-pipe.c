/* Pipes, with a name or without, and what lies in them. */
#include <errno.h>
#include <signal.h>

#include "ours.h"
#include "process/process.h"
#include "two-lives.h"

TestSuite(pipes, .init = scratch_open, .fini = scratch_close);

static void has_pipes(void)
{
	int ends[2];

	EXPECT(pipe2(ends, O_NONBLOCK) == 0 && write(ends[1], "in the pipe", 11) == 11);
	both->fd[0] = ends[0];
	both->fd[1] = ends[1];
	EXPECT(pipe(ends) == 0 && write(ends[1], "left", 4) == 4);
	both->fd[2] = ends[0];
	close(ends[1]);
	EXPECT(pipe(ends) == 0);
	both->fd[3] = ends[1];
	close(ends[0]);
	EXPECT(pipe(ends) == 0 && fcntl(ends[1], F_SETPIPE_SZ, 1 << 20) == 1 << 20);
	for (int i = 0; i < 1000; i++)
		EXPECT(write(ends[1], both->bytes, 500) == 500);
	both->fd[4] = ends[0];
	both->fd[5] = ends[1];
	EXPECT(pipe2(ends, O_DIRECT) == 0 && write(ends[1], "one", 3) == 3 && write(ends[1], "2", 1) == 1);
	both->fd[6] = ends[0];
	both->fd[7] = ends[1];
	EXPECT(fcntl(ends[0], F_SETOWN, getppid()) == 0 && fcntl(ends[0], F_SETSIG, SIGURG) == 0);
	EXPECT(fcntl(ends[0], F_SETFL, O_ASYNC) == 0);
	save();
	char bytes[11];
	EXPECT(read(both->fd[0], bytes, 11) == 11 && memcmp(bytes, "in the pipe", 11) == 0);
}

static void pipes_go_on(void)
{
	char bytes[32];

	EXPECT(read(both->fd[0], bytes, sizeof(bytes)) == 11 && memcmp(bytes, "in the pipe", 11) == 0);
	EXPECT(read(both->fd[0], bytes, sizeof(bytes)) == -1 && errno == EAGAIN);
	EXPECT(write(both->fd[1], "x", 1) == 1 && read(both->fd[0], bytes, 9) == 1);
	EXPECT(read(both->fd[2], bytes, sizeof(bytes)) == 4 && memcmp(bytes, "left", 4) == 0);
	EXPECT(read(both->fd[2], bytes, sizeof(bytes)) == 0);
	signal(SIGPIPE, SIG_IGN);
	EXPECT(write(both->fd[3], "x", 1) == -1 && errno == EPIPE);
	static char all[500001];
	size_t len = 0;
	while (len < 500000) {
		const ssize_t got = read(both->fd[4], all + len, sizeof(all) - len);
		EXPECT(got > 0);
		len += (size_t)got;
	}
	EXPECT(len == 500000 && fcntl(both->fd[5], F_GETPIPE_SZ) == 1 << 20);
	close(both->fd[5]);
	EXPECT(read(both->fd[4], bytes, 1) == 0);
	EXPECT(read(both->fd[6], bytes, sizeof(bytes)) == 3 && memcmp(bytes, "one", 3) == 0);
	EXPECT(read(both->fd[6], bytes, sizeof(bytes)) == 1 && bytes[0] == '2');
	EXPECT(fcntl(both->fd[7], F_GETFL) & O_DIRECT);
	EXPECT((fcntl(both->fd[6], F_GETFL) & O_ASYNC) && fcntl(both->fd[6], F_GETOWN) == getppid() &&
	       fcntl(both->fd[6], F_GETSIG) == SIGURG);
}

Test(pipes, what_lies_in_a_pipe_is_read_in_the_next_life)
{
	two_lives(has_pipes, pipes_go_on);
}

static void has_a_fifo_without_a_name(void)
{
	EXPECT(mkfifo(scratch_path("fifo"), 0600) == 0);
	both->fd[0] = open(scratch_path("fifo"), O_RDWR);
	both->fd[1] = open(scratch_path("fifo"), O_WRONLY);
	files_prepare();
	EXPECT(unlink(scratch_path("fifo")) == 0 && write(both->fd[1], "in it", 5) == 5);
	save();
}

static void it_goes_on(void)
{
	char bytes[8];

	EXPECT(read(both->fd[0], bytes, 8) == 5 && memcmp(bytes, "in it", 5) == 0);
	EXPECT(write(both->fd[0], "a", 1) == 1 && write(both->fd[1], "b", 1) == 1);
	EXPECT(read(both->fd[0], bytes, 8) == 2);
}

/* mkfifo, exec 3<>, rm: no life could follow, for want of the name. */
Test(pipes, fifo_without_a_name_is_a_pipe)
{
	two_lives(has_a_fifo_without_a_name, it_goes_on);
}
