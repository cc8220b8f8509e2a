/*
 * Descriptors in two lives: a child sets them up and describes them, and is gone; another, with
 * nothing but 0-2, makes them again from the description alone, and looks at them. Numbers are
 * handed over in shared memory, which is all the two have in common.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "os.h"
#include "ours.h"
#include "process/files.h"
#include "process/socket-unix.h"
#include "scratch.h"

#define LEDGER_BYTES (4u << 20)

/* What both lives see. */
static struct shared {
	int fd[8];
	struct ledger_writer writer;
	struct refusal refusal;
	int status; /* of files_check() */
	char why[512];
	uint64_t word;
	char bytes[LEDGER_BYTES] __attribute__((aligned(8)));
} *both;

#define EXPECT(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: %s (errno %d)\n", __FILE__, __LINE__, #condition, errno); \
			_exit(1); \
		} \
	} while (0)

static void (*caller)(void); /* gives 0-2 to the life that begins */

static int in_child(void (*life)(void))
{
	int status;

	fflush(NULL);
	const pid_t child = fork();
	if (child == 0) {
		if (caller)
			caller();
		close_range(3, ~0u, 0);
		files_open(scratch_path("pool"));
		life();
		_exit(0);
	}
	waitpid(child, &status, 0);
	return status;
}

/* As the committer does: looked at, and then, later, described. */
static void save(void)
{
	files_prepare();
	both->writer = (struct ledger_writer){.bytes = both->bytes, .capacity = LEDGER_BYTES};
	files_save(&both->writer);
}

static void (*second)(void);

static void make_and_go_on(void)
{
	const struct ledger_reader state = {.bytes = both->bytes, .len = both->writer.len};
	struct line why = line_in(both->why, sizeof(both->why));

	both->status = files_check(&state, &both->refusal);
	if (both->status)
		return;
	const int error = files_make(&state, &why);
	if (error)
		fprintf(stderr, "files_make: %d: %s\n", error, both->why);
	EXPECT(error == 0);
	second();
}

TestSuite(files, .init = scratch_open, .fini = scratch_close);

static void open_both(void)
{
	both = mmap(NULL, sizeof(*both), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	cr_assert_neq((void *)both, MAP_FAILED);
}

static void two_lives(void (*first_life)(void), void (*second_life)(void))
{
	open_both();
	second = second_life;
	cr_assert_eq(in_child(first_life), 0, "the first life");
	cr_assert_str_empty(both->writer.veto, "%s", both->writer.veto);
	cr_assert_eq(in_child(make_and_go_on), 0, "the second life");
	cr_assert_eq(both->status, 0, "%s", both->refusal.line);
}

static void refused(void (*first_life)(void), const char *why)
{
	open_both();
	cr_assert_eq(in_child(first_life), 0, "the first life");
	cr_assert_not_null(strstr(both->writer.veto, why), "%s", both->writer.veto);
}

/* ---- regular files ---- */

static void reads_and_writes(void)
{
	const char *path = scratch_path("file");
	int fd = open(path, O_RDWR | O_CREAT, 0600);

	EXPECT(write(fd, "0123456789", 10) == 10 && lseek(fd, 4, SEEK_SET) == 4);
	both->fd[0] = fcntl(fd, F_DUPFD, 50);           /* one description */
	both->fd[1] = open(path, O_RDONLY | O_CLOEXEC); /* another */
	both->fd[2] = fd;
	both->fd[3] = open(scratch_path("."), O_RDONLY | O_DIRECTORY);
	save();
}

static void reads_on(void)
{
	char c;

	EXPECT(fcntl(both->fd[1], F_GETFD) == FD_CLOEXEC && fcntl(both->fd[0], F_GETFD) == 0);
	EXPECT((fcntl(both->fd[2], F_GETFL) & O_ACCMODE) == O_RDWR);
	EXPECT((fcntl(both->fd[1], F_GETFL) & O_ACCMODE) == O_RDONLY);
	EXPECT(read(both->fd[2], &c, 1) == 1 && c == '4');
	EXPECT(read(both->fd[0], &c, 1) == 1 && c == '5');
	EXPECT(read(both->fd[1], &c, 1) == 1 && c == '0');
	EXPECT(faccessat(both->fd[3], "file", F_OK, 0) == 0);
	EXPECT(fcntl(both->fd[3] + 1, F_GETFD) == -1);
}

Test(files, offsets_are_where_they_were_and_shared_ones_stay_shared)
{
	two_lives(reads_and_writes, reads_on);
}

static void writes_output(void)
{
	both->fd[0] = open(scratch_path("out"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
	both->fd[1] = open(scratch_path("log"), O_WRONLY | O_CREAT | O_APPEND, 0600);
	EXPECT(write(both->fd[0], "once\n", 5) == 5 && write(both->fd[1], "a\n", 2) == 2);
	save();
	EXPECT(write(both->fd[0], "twice?\n", 7) == 7 && write(both->fd[1], "b\n", 2) == 2);
}

static void writes_it_again(void)
{
	char bytes[64] = "";

	EXPECT(write(both->fd[0], "twice?\n", 7) == 7 && write(both->fd[1], "b\n", 2) == 2);
	int fd = open(scratch_path("out"), O_RDONLY);
	EXPECT(read(fd, bytes, sizeof(bytes)) == 12 && memcmp(bytes, "once\ntwice?\n", 12) == 0);
	fd = open(scratch_path("log"), O_RDONLY);
	EXPECT(read(fd, bytes, sizeof(bytes)) == 4 && memcmp(bytes, "a\nb\n", 4) == 0);
	char name[32];
	snprintf(name, sizeof(name), "pool.tail-%d", both->fd[0]);
	fd = open(scratch_path(name), O_RDONLY);
	EXPECT(read(fd, bytes, sizeof(bytes)) == 7 && memcmp(bytes, "twice?\n", 7) == 0);
}

Test(files, output_written_after_the_epoch_appears_once)
{
	two_lives(writes_output, writes_it_again);
}

static void nothing(void)
{
}

static void second_is_refused(void (*first_life)(void), void (*between)(void), const char *why)
{
	open_both();
	second = nothing;
	cr_assert_eq(in_child(first_life), 0, "the first life");
	cr_assert_str_empty(both->writer.veto, "%s", both->writer.veto);
	between();
	cr_assert_eq(in_child(make_and_go_on), 0, "the second life");
	cr_assert_eq(both->status, STATUS_INCOMPATIBLE);
	cr_assert_not_null(strstr(both->refusal.line, why), "%s", both->refusal.line);
}

static void file_goes(void)
{
	cr_assert_eq(unlink(scratch_path("file")), 0);
}

static void file_is_another(void)
{
	cr_assert_eq(rename(scratch_path("file"), scratch_path("old")), 0);
	cr_assert_neq(creat(scratch_path("file"), 0600), -1);
}

Test(files, missing_file_is_refused_by_name)
{
	second_is_refused(reads_and_writes, file_goes, "/file: descriptor");
}

Test(files, replaced_file_is_refused_by_name)
{
	second_is_refused(reads_and_writes, file_is_another, "/file: is another file");
}

static void has_nameless_file(void)
{
	both->fd[0] = open(scratch_path("."), O_TMPFILE | O_RDWR, 0600);
	EXPECT(both->fd[0] >= 0);
	save();
}

Test(files, file_without_a_name_is_vetoed)
{
	refused(has_nameless_file, "no name");
}

static void watches(void)
{
	both->fd[0] = inotify_init1(0);
	save();
}

Test(files, inotify_is_vetoed_by_descriptor_and_name)
{
	refused(watches, "descriptor 3: anon_inode:inotify");
}

static void locks(void)
{
	struct flock range = {.l_type = F_WRLCK, .l_start = 5, .l_len = 10};

	both->fd[0] = open(scratch_path("locked"), O_RDWR | O_CREAT, 0600);
	both->fd[1] = open(scratch_path("locked"), O_RDWR);
	both->fd[2] = open(scratch_path("whole"), O_RDWR | O_CREAT, 0600);
	EXPECT(fcntl(both->fd[0], F_SETLK, &range) == 0);
	range = (struct flock){.l_type = F_RDLCK, .l_start = 100};
	EXPECT(fcntl(both->fd[1], F_OFD_SETLK, &range) == 0);
	EXPECT(flock(both->fd[2], LOCK_EX) == 0);
	save();
}

static void locks_hold(void)
{
	const int other = open(scratch_path("locked"), O_RDWR), whole = open(scratch_path("whole"), O_RDWR);
	struct flock range = {.l_type = F_WRLCK, .l_len = 0};

	EXPECT(fcntl(other, F_OFD_GETLK, &range) == 0 && range.l_type == F_WRLCK);
	EXPECT(range.l_start == 5 && range.l_len == 10 && range.l_pid == getpid());
	range = (struct flock){.l_type = F_WRLCK, .l_start = 50};
	EXPECT(fcntl(other, F_OFD_GETLK, &range) == 0 && range.l_type == F_RDLCK);
	EXPECT(range.l_start == 100 && range.l_len == 0 && range.l_pid == -1);
	EXPECT(flock(whole, LOCK_SH | LOCK_NB) == -1 && errno == EWOULDBLOCK);
}

Test(files, locks_are_held_again)
{
	two_lives(locks, locks_hold);
}

/* ---- pipes ---- */

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
		EXPECT(write(ends[1], both->why, 500) == 500);
	both->fd[4] = ends[0];
	both->fd[5] = ends[1];
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
}

Test(files, what_lies_in_a_pipe_is_read_in_the_next_life)
{
	two_lives(has_pipes, pipes_go_on);
}

/* ---- eventfd, timerfd, signalfd, epoll ---- */

static void has_events(void)
{
	const struct itimerspec in_50_ms = {{0, 50000000}, {0, 50000000}}, in_an_hour = {{0, 0}, {3600, 0}};
	sigset_t mask;
	struct epoll_event event = {.events = EPOLLIN, .data = {.u64 = 0xabcdef0123}};

	both->fd[0] = eventfd(7, EFD_SEMAPHORE | EFD_NONBLOCK);
	both->fd[1] = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	EXPECT(timerfd_settime(both->fd[1], 0, &in_50_ms, NULL) == 0);
	both->fd[2] = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK);
	EXPECT(timerfd_settime(both->fd[2], 0, &in_an_hour, NULL) == 0);
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR2);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	both->fd[3] = signalfd(-1, &mask, SFD_NONBLOCK);
	both->fd[4] = epoll_create1(EPOLL_CLOEXEC);
	EXPECT(epoll_ctl(both->fd[4], EPOLL_CTL_ADD, both->fd[0], &event) == 0);
	/* entered by a number that is closed since, of an open pipe */
	int ends[2];
	EXPECT(pipe(ends) == 0 && write(ends[1], "x", 1) == 1);
	const int by = dup(ends[0]);
	event.data.u64 = 99;
	EXPECT(epoll_ctl(both->fd[4], EPOLL_CTL_ADD, by, &event) == 0);
	close(by);
	both->fd[5] = dup(both->fd[0]);
	save();
}

static void events_come(void)
{
	struct epoll_event events[4];
	struct pollfd poll_timer = {.fd = both->fd[1], .events = POLLIN};
	struct itimerspec left;
	uint64_t value;
	sigset_t mask;

	EXPECT(epoll_wait(both->fd[4], events, 4, 0) == 2);
	const uint64_t sum = events[0].data.u64 + events[1].data.u64;
	EXPECT(sum == 0xabcdef0123 + 99);
	EXPECT(fcntl(both->fd[4], F_GETFD) == FD_CLOEXEC);
	for (int i = 0; i < 7; i++)
		EXPECT(read(both->fd[i % 2 ? 0 : 5], &value, 8) == 8 && value == 1);
	EXPECT(read(both->fd[0], &value, 8) == -1 && errno == EAGAIN);
	EXPECT(poll(&poll_timer, 1, 10000) == 1 && read(both->fd[1], &value, 8) == 8);
	EXPECT(timerfd_gettime(both->fd[1], &left) == 0 && left.it_interval.tv_nsec == 50000000);
	EXPECT(timerfd_gettime(both->fd[2], &left) == 0 && left.it_value.tv_sec > 3000 &&
	       left.it_value.tv_sec <= 3600);
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR2);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	struct signalfd_siginfo info;
	kill(getpid(), SIGUSR2);
	EXPECT(read(both->fd[3], &info, sizeof(info)) == sizeof(info) && info.ssi_signo == SIGUSR2);
}

Test(files, counters_timers_and_entries_of_an_epoll_come_back)
{
	two_lives(has_events, events_come);
}

/* ---- sockets ---- */

static void bind_loopback(int fd, struct sockaddr_in *ret_in)
{
	socklen_t len = sizeof(*ret_in);

	*ret_in = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	EXPECT(bind(fd, (void *)ret_in, sizeof(*ret_in)) == 0);
	EXPECT(getsockname(fd, (void *)ret_in, &len) == 0);
}

static void has_sockets(void)
{
	const int one = 1, bytes = 50000;
	struct sockaddr_in in;
	struct sockaddr_un un = {.sun_family = AF_UNIX};

	both->fd[0] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	setsockopt(both->fd[0], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(both->fd[0], SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	bind_loopback(both->fd[0], &in);
	EXPECT(listen(both->fd[0], 77) == 0);
	both->word = in.sin_port;
	both->fd[1] = socket(AF_INET, SOCK_STREAM, 0); /* connected: dead in the next life */
	EXPECT(connect(both->fd[1], (void *)&in, sizeof(in)) == 0);
	both->fd[2] = socket(AF_UNIX, SOCK_STREAM, 0);
	snprintf(un.sun_path, sizeof(un.sun_path), "%s", scratch_path("socket"));
	EXPECT(bind(both->fd[2], (void *)&un, sizeof(un)) == 0 && listen(both->fd[2], 5) == 0);
	EXPECT(chmod(un.sun_path, 0600) == 0);
	both->fd[3] = socket(AF_INET, SOCK_DGRAM, 0);
	bind_loopback(both->fd[3], &in);
	both->fd[5] = socket(AF_INET, SOCK_DGRAM, 0);
	EXPECT(connect(both->fd[5], (void *)&in, sizeof(in)) == 0);
	both->fd[4] = socket(AF_INET6, SOCK_STREAM, 0); /* fresh */
	setsockopt(both->fd[4], IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	save();
}

static struct stat st_of(int fd)
{
	struct stat st;

	EXPECT(fstat(fd, &st) == 0);
	return st;
}

static void sockets_go_on(void)
{
	struct unix_answer answer;
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				 .sin_port = (in_port_t)both->word};
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct tcp_info info;
	socklen_t len = sizeof(info);
	struct stat st;
	int value;
	char c;

	EXPECT(fcntl(both->fd[0], F_GETFL) & O_NONBLOCK);
	EXPECT(getsockopt(both->fd[0], IPPROTO_TCP, TCP_INFO, &info, &len) == 0 && info.tcpi_sacked == 77);
	len = sizeof(value);
	EXPECT(getsockopt(both->fd[0], IPPROTO_TCP, TCP_NODELAY, &value, &len) == 0 && value == 1);
	EXPECT(getsockopt(both->fd[0], SOL_SOCKET, SO_RCVBUF, &value, &len) == 0 && value == 100000);
	EXPECT(getsockopt(both->fd[0], SOL_SOCKET, SO_REUSEADDR, &value, &len) == 0 && value == 0);
	int client = socket(AF_INET, SOCK_STREAM, 0);
	EXPECT(connect(client, (void *)&in, sizeof(in)) == 0 && accept(both->fd[0], NULL, NULL) >= 0);
	EXPECT(read(both->fd[1], &c, 1) == 0);
	EXPECT(send(both->fd[1], "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE);
	EXPECT(setsockopt(both->fd[1], IPPROTO_TCP, TCP_NODELAY, &value, sizeof(value)) == 0);
	snprintf(un.sun_path, sizeof(un.sun_path), "%s", scratch_path("socket"));
	EXPECT(stat(un.sun_path, &st) == 0 && (st.st_mode & 0777) == 0600);
	unix_ask(st_of(both->fd[2]).st_ino, &answer);
	EXPECT(answer.backlog == 5);
	client = socket(AF_UNIX, SOCK_STREAM, 0);
	EXPECT(connect(client, (void *)&un, sizeof(un)) == 0 && accept(both->fd[2], NULL, NULL) >= 0);
	len = sizeof(in);
	EXPECT(getsockname(both->fd[3], (void *)&in, &len) == 0 && in.sin_port != 0);
	EXPECT(sendto(both->fd[3], "x", 1, 0, (void *)&in, len) == 1 && read(both->fd[3], &c, 1) == 1);
	EXPECT(send(both->fd[5], "x", 1, 0) == 1 && read(both->fd[3], &c, 1) == 1);
	len = sizeof(value);
	EXPECT(getsockopt(both->fd[4], IPPROTO_IPV6, IPV6_V6ONLY, &value, &len) == 0 && value == 1);
}

Test(files, sockets_listen_again_and_connections_are_closed)
{
	two_lives(has_sockets, sockets_go_on);
}

static void has_pairs(void)
{
	int ends[2];

	EXPECT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
	EXPECT(write(ends[0], "to one", 6) == 6 && write(ends[1], "to zero", 7) == 7);
	EXPECT(shutdown(ends[0], SHUT_WR) == 0);
	both->fd[0] = ends[0];
	both->fd[1] = ends[1];
	EXPECT(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends) == 0);
	EXPECT(write(ends[0], "a", 1) == 1 && write(ends[0], "bcd", 3) == 3);
	both->fd[2] = ends[0];
	both->fd[3] = fcntl(ends[1], F_DUPFD, 40);
	close(ends[1]);
	EXPECT(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0 && write(ends[1], "last", 4) == 4);
	close(ends[1]);
	both->fd[4] = ends[0];
	save();
	char bytes[8];
	EXPECT(read(both->fd[1], bytes, 8) == 6); /* nothing was taken */
}

static void pairs_go_on(void)
{
	char bytes[16];

	EXPECT(fcntl(both->fd[0], F_GETFD) == FD_CLOEXEC && fcntl(both->fd[1], F_GETFD) == FD_CLOEXEC);
	EXPECT(read(both->fd[1], bytes, 16) == 6 && memcmp(bytes, "to one", 6) == 0);
	EXPECT(read(both->fd[1], bytes, 16) == 0);
	EXPECT(read(both->fd[0], bytes, 16) == 7 && memcmp(bytes, "to zero", 7) == 0);
	EXPECT(write(both->fd[1], "more", 4) == 4 && read(both->fd[0], bytes, 16) == 4);
	EXPECT(send(both->fd[0], "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE);
	EXPECT(read(both->fd[3], bytes, 16) == 1 && bytes[0] == 'a');
	EXPECT(read(both->fd[3], bytes, 16) == 3 && memcmp(bytes, "bcd", 3) == 0);
	EXPECT(read(both->fd[3], bytes, 16) == -1 && errno == EAGAIN);
	EXPECT(write(both->fd[3], "e", 1) == 1 && read(both->fd[2], bytes, 16) == 1);
	EXPECT(read(both->fd[4], bytes, 16) == 4 && memcmp(bytes, "last", 4) == 0);
	EXPECT(read(both->fd[4], bytes, 16) == 0);
}

Test(files, socketpairs_hang_together_with_what_is_in_them)
{
	two_lives(has_pairs, pairs_go_on);
}

static void sends_a_descriptor(void)
{
	char room[CMSG_SPACE(sizeof(int))] = "";
	struct iovec piece = {(char[]){'x'}, 1};
	struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = room,
				 .msg_controllen = sizeof(room)};
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);
	int ends[2];

	EXPECT(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
	*head = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET,
				 .cmsg_type = SCM_RIGHTS};
	memcpy(CMSG_DATA(head), &ends[0], sizeof(int));
	EXPECT(sendmsg(ends[0], &message, 0) == 1);
	const int before = dup(0);
	save();
	EXPECT(dup(0) == before + 1); /* and it was not received */
}

Test(files, descriptor_on_its_way_is_vetoed)
{
	refused(sends_a_descriptor, "on their way");
}

/* ---- the caller's ---- */

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

Test(files, redirected_input_goes_on_and_output_appears_once)
{
	const int in = open(scratch_path("in"), O_WRONLY | O_CREAT, 0600);
	const int out = open(scratch_path("appended"), O_WRONLY | O_CREAT, 0600);

	cr_assert(write(in, "0123456789", 10) == 10 && write(out, "0\n", 2) == 2);
	caller = append_and_read;
	two_lives(reads_three_writes_two, goes_on_with_the_callers);
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

Test(files, what_was_the_callers_follows_the_new_one_wherever_it_is)
{
	char bytes[4];

	caller = pipe_of_this_life;
	open_both();
	cr_assert_eq(pipe(caller_pipe), 0);
	second = has_it_aside;
	cr_assert_eq(in_child(puts_it_aside), 0, "the first life");
	cr_assert_eq(pipe(caller_pipe), 0); /* another caller */
	cr_assert_eq(in_child(make_and_go_on), 0, "the second life");
	cr_assert_eq(both->status, 0);
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

static void goes_raw(void)
{
	struct termios raw;

	EXPECT(isatty(0) && tcgetattr(0, &raw) == 0);
	cfmakeraw(&raw);
	EXPECT(tcsetattr(0, TCSANOW, &raw) == 0);
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
	EXPECT(has_winched == SIGWINCH);
}

static void terminal_and_handler(void)
{
	signal(SIGWINCH, note_winch);
	terminal();
}

Test(files, terminal_is_the_new_one_with_the_old_settings)
{
	caller = terminal_and_handler;
	two_lives(goes_raw, is_raw);
}

/* ---- numbers ---- */

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

Test(files, ours_are_not_described_and_make_room)
{
	open_both();
	second = takes_the_number;
	cr_assert_eq(in_child(has_a_high_one), 0, "the first life");
	cr_assert_eq(in_child(makes_with_ours_in_the_way), 0, "the second life");
}

static void saves_twice(void)
{
	static char before[1 << 16];

	has_events();
	const size_t len = both->writer.len;
	EXPECT(len < sizeof(before));
	memcpy(before, both->bytes, len);
	save();
	EXPECT(both->writer.len == len && memcmp(before, both->bytes, len) == 0);
}

Test(files, what_has_not_changed_gives_the_same_bytes)
{
	open_both();
	cr_assert_eq(in_child(saves_twice), 0);
}
