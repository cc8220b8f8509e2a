/* Sockets in two lives: those a process has alone. */
#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "process/process.h"
#include "process/socket-said.h"
#include "process/socket-unix.h"
#include "two-lives.h"

TestSuite(sockets, .init = scratch_open, .fini = scratch_close);

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

Test(sockets, sockets_listen_again_and_connections_are_closed)
{
	two_lives(has_sockets, sockets_go_on);
}

static int tell(int fd, int level, int name, const void *value, socklen_t len)
{
	const int status = setsockopt(fd, level, name, value, len);

	if (status == 0)
		process_note_option(fd, level, name, value, len);
	return status;
}

/* The bytes between mean nothing. */
static struct group_req group_of(const char *address, int between)
{
	struct group_req group;

	memset(&group, between, sizeof(group));
	group.gr_interface = 1; /* loopback */
	struct sockaddr_in *in = (struct sockaddr_in *)&group.gr_group;
	in->sin_family = AF_INET;
	EXPECT(inet_pton(AF_INET, address, &in->sin_addr) == 1);
	return group;
}

static struct ipv6_mreq group6_of(const char *address, unsigned interface)
{
	struct ipv6_mreq group = {.ipv6mr_interface = interface};

	EXPECT(inet_pton(AF_INET6, address, &group.ipv6mr_multiaddr) == 1);
	return group;
}

/* Left in other words than joined, and not the first that looks like it. */
static void leaves_a_group_of_two(void)
{
	const struct group_req one = group_of("239.1.2.3", 0), two = group_of("239.1.2.4", 0);
	const struct group_req left = group_of("239.1.2.4", 'x');
	const struct ipv6_mreq one6 = group6_of("ff02::1:2", 1), two6 = group6_of("ff02::1:3", 1);
	const struct ipv6_mreq left6 = group6_of("ff02::1:3", 0);

	both->fd[0] = socket(AF_INET, SOCK_DGRAM, 0);
	EXPECT(tell(both->fd[0], IPPROTO_IP, MCAST_JOIN_GROUP, &one, sizeof(one)) == 0);
	EXPECT(tell(both->fd[0], IPPROTO_IP, MCAST_JOIN_GROUP, &two, sizeof(two)) == 0);
	EXPECT(tell(both->fd[0], IPPROTO_IP, MCAST_LEAVE_GROUP, &left, sizeof(left)) == 0);
	both->fd[1] = socket(AF_INET6, SOCK_DGRAM, 0);
	both->word = both->fd[1] >= 0 &&
		     tell(both->fd[1], IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &one6, sizeof(one6)) == 0;
	if (both->word) {
		EXPECT(tell(both->fd[1], IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &two6, sizeof(two6)) == 0);
		EXPECT(tell(both->fd[1], IPPROTO_IPV6, IPV6_DROP_MEMBERSHIP, &left6, sizeof(left6)) == 0);
	}
	save();
}

/* Who is no member cannot leave. */
static void is_in_the_other_one(void)
{
	const struct group_req one = group_of("239.1.2.3", 0), two = group_of("239.1.2.4", 0);
	const struct ipv6_mreq one6 = group6_of("ff02::1:2", 1), two6 = group6_of("ff02::1:3", 1);

	EXPECT(setsockopt(both->fd[0], IPPROTO_IP, MCAST_LEAVE_GROUP, &one, sizeof(one)) == 0);
	EXPECT(setsockopt(both->fd[0], IPPROTO_IP, MCAST_LEAVE_GROUP, &two, sizeof(two)) == -1);
	if (!both->word)
		return;
	EXPECT(setsockopt(both->fd[1], IPPROTO_IPV6, IPV6_DROP_MEMBERSHIP, &one6, sizeof(one6)) == 0);
	EXPECT(setsockopt(both->fd[1], IPPROTO_IPV6, IPV6_DROP_MEMBERSHIP, &two6, sizeof(two6)) == -1);
}

Test(sockets, group_that_was_left_is_the_one_that_is_not_joined_again)
{
	two_lives(leaves_a_group_of_two, is_in_the_other_one);
}

static void lets_a_group_connect(void)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};

	both->fd[0] = socket(AF_UNIX, SOCK_STREAM, 0);
	snprintf(un.sun_path, sizeof(un.sun_path), "%s", scratch_path("socket"));
	EXPECT(bind(both->fd[0], (void *)&un, sizeof(un)) == 0 && listen(both->fd[0], 5) == 0);
	both->word = chown(un.sun_path, 1234, 5678) == 0; /* else we may not: nothing to see */
	EXPECT(chmod(un.sun_path, 0660) == 0);
	save();
}

static void group_may_connect(void)
{
	struct stat st;

	EXPECT(stat(scratch_path("socket"), &st) == 0 && (st.st_mode & 0777) == 0660);
	EXPECT(!both->word || (st.st_uid == 1234 && st.st_gid == 5678));
}

/* A server that is started as root gives its socket to others, who could not connect any more. */
Test(sockets, file_of_a_socket_belongs_to_whom_it_did)
{
	two_lives(lets_a_group_connect, group_may_connect);
}

static void file_is_no_socket(void)
{
	cr_assert_eq(unlink(scratch_path("socket")), 0);
	cr_assert_neq(creat(scratch_path("socket"), 0600), -1);
}

/* It was taken for the file of a socket that is dead, and removed. */
Test(sockets, file_in_the_place_of_a_socket_is_not_removed)
{
	second_is_refused(lets_a_group_connect, file_is_no_socket, "socket: descriptor 3 was bound to it");
	cr_assert_eq(access(scratch_path("socket"), F_OK), 0);
}

static void listens_and_goes_elsewhere_at_the_last_moment(void)
{
	const struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "socket"};

	EXPECT(chdir(scratch_path(".")) == 0);
	both->fd[0] = socket(AF_UNIX, SOCK_STREAM, 0);
	EXPECT(bind(both->fd[0], (void *)&un, sizeof(un)) == 0 && listen(both->fd[0], 5) == 0);
	files_prepare(); /* it was there when it was looked at, and is not in the pause */
	EXPECT(chdir("/") == 0);
	both->writer = (struct ledger_writer){.bytes = both->bytes, .capacity = LEDGER_BYTES};
	files_save(&both->writer);
}

/* It was taken for one whose file is gone, and came back as one nobody can connect to. */
Test(sockets, socket_bound_in_another_directory_is_vetoed)
{
	refused(listens_and_goes_elsewhere_at_the_last_moment, "not to be found from here: socket");
}

static const int on = 1;

static bool is_told_of_losses(int fd)
{
	int value = 0;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &value, &len) == 0 && value == 1;
}

static void tell_and_close(unsigned many)
{
	for (unsigned i = 0; i < many; i++) {
		const int fd = socket(AF_INET, SOCK_DGRAM, 0);
		EXPECT(tell(fd, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof(on)) == 0);
		close(fd);
	}
}

static bool nobody(uint64_t ino)
{
	return false;
}

/* What was said of sockets that are gone is forgotten, and not what was said since the look. */
static void has_one_after_many(void)
{
	for (unsigned i = 0; i < 30; i++) {
		tell_and_close(100);
		files_prepare();
	}
	tell_and_close(600);
	said_begin_look();
	both->fd[0] = socket(AF_INET, SOCK_DGRAM, 0);
	both->fd[1] = socket(AF_INET, SOCK_DGRAM, 0);
	EXPECT(tell(both->fd[0], SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof(on)) == 0);
	said_prune(nobody);
	save();
}

static void one_is_told_of_losses(void)
{
	EXPECT(is_told_of_losses(both->fd[0]) && !is_told_of_losses(both->fd[1]));
}

Test(sockets, options_of_sockets_that_come_and_go_take_no_room)
{
	two_lives(has_one_after_many, one_is_told_of_losses);
}

static void has_too_many(void)
{
	tell_and_close(2000);
	both->fd[0] = socket(AF_INET, SOCK_DGRAM, 0);
	save();
}

Test(sockets, more_options_than_there_is_room_for_are_a_veto)
{
	refused(has_too_many, "more options of sockets");
}

static void has_filter(void)
{
	struct sock_filter all = BPF_STMT(BPF_RET | BPF_K, 0xffff);
	const struct sock_fprog filter = {1, &all};

	both->fd[0] = socket(AF_INET, SOCK_DGRAM, 0);
	EXPECT(tell(both->fd[0], SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)) == 0);
	save();
}

static void had_filter(void)
{
	has_filter();
	EXPECT(tell(both->fd[0], SOL_SOCKET, SO_DETACH_FILTER, &on, sizeof(on)) == 0);
	save();
}

static void receives(void)
{
	EXPECT(fcntl(both->fd[0], F_GETFD) >= 0);
}

Test(sockets, filter_is_a_veto_until_it_is_taken_away)
{
	refused(has_filter, ", a socket with a filter");
	two_lives(had_filter, receives);
}

static void has_a_privilege(void)
{
	const int priority = 7;

	both->fd[0] = socket(AF_INET, SOCK_DGRAM, 0);
	both->word = setsockopt(both->fd[0], SOL_SOCKET, SO_PRIORITY, &priority, sizeof(priority)) == 0;
	save();
}

static void has_it_no_more(void)
{
	dup2(open(scratch_path("said"), O_RDWR | O_CREAT, 0600), 2);
	EXPECT(setresuid(1, 1, 1) == 0);
}

static void that_is_told(void)
{
	char said[1000] = "";

	EXPECT(pread(2, said, sizeof(said) - 1, 0) > 0 && strstr(said, "is refused an option"));
}

/* One that is bound to a device that is not there was bound to none, and heard everybody. */
Test(sockets, option_that_is_refused_is_told)
{
	first_lives(has_a_privilege);
	if (!both->word)
		return;
	caller = has_it_no_more;
	second_lives(that_is_told);
}

static void listens_to_routes(void)
{
	struct sockaddr_nl name = {.nl_family = AF_NETLINK, .nl_groups = 1};

	both->fd[0] = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	EXPECT(bind(both->fd[0], (void *)&name, sizeof(name)) == 0);
	save();
}

static void routes_are_told(void)
{
	struct sockaddr_nl name;
	socklen_t len = sizeof(name);

	EXPECT(getsockname(both->fd[0], (void *)&name, &len) == 0 && name.nl_groups == 1 &&
	       name.nl_pid != 0);
}

Test(sockets, netlink_socket_has_its_groups)
{
	two_lives(listens_to_routes, routes_are_told);
}
