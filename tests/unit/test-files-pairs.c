/* Pairs of sockets of which a process has both ends, and what lies in them. */
#include <sys/socket.h>
#include <sys/un.h>

#include "process/process.h"
#include "two-lives.h"

TestSuite(pairs, .init = scratch_open, .fini = scratch_close);

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

Test(pairs, socketpairs_hang_together_with_what_is_in_them)
{
	two_lives(has_pairs, pairs_go_on);
}

static void has_messages_whose_sender_is_gone(void)
{
	int ends[2];

	EXPECT(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0);
	EXPECT(write(ends[1], "a", 1) == 1 && write(ends[1], "bc", 2) == 2);
	close(ends[1]);
	both->fd[0] = ends[0];
	EXPECT(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0);
	close(ends[1]);
	both->fd[1] = ends[0];
	save();
}

static void messages_are_there_and_then_the_end(void)
{
	char bytes[8];

	EXPECT(read(both->fd[0], bytes, 8) == 1 && read(both->fd[0], bytes, 8) == 2);
	EXPECT(read(both->fd[0], bytes, 8) == 0 && read(both->fd[1], bytes, 8) == 0);
}

static void has_a_full_pair(void)
{
	int ends[2];

	EXPECT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
	both->fd[0] = ends[0];
	both->fd[1] = ends[1];
	for (ssize_t len; (len = write(ends[1], both->bytes, 100000)) > 0;)
		both->word += (uint64_t)len;
	save();
}

static void all_of_it_is_there(void)
{
	static char bytes[1 << 20];
	size_t total = 0;

	for (ssize_t len; (len = read(both->fd[0], bytes, sizeof(bytes))) > 0;)
		total += (size_t)len;
	EXPECT(total == both->word);
	total = 0;
	for (ssize_t len; (len = write(both->fd[1], bytes, 100000)) > 0;)
		total += (size_t)len;
	EXPECT(total == both->word); /* it takes as much as before */
}

/* How much goes in depends on the pieces it is put in by: what had been there did not fit. */
Test(pairs, full_pair_is_as_full_as_it_was)
{
	two_lives(has_a_full_pair, all_of_it_is_there);
}

/* Their end was taken for empty messages, of which there is no end. */
Test(pairs, messages_end_where_their_sender_has_ended)
{
	two_lives(has_messages_whose_sender_is_gone, messages_are_there_and_then_the_end);
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

Test(pairs, descriptor_on_its_way_is_vetoed)
{
	refused(sends_a_descriptor, "on their way");
}
