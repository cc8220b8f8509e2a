/*
 * What a program has said of its descriptors holds in its next lives: leases, whom signals are for,
 * an epoll entry that has fired and is not to fire again, options of sockets that cannot be asked
 * for, memberships of groups.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "killed.h"

#define LIVES 3

/* ---- Leases, and signals of descriptors ---- */

static char name[] = "/tmp/held-XXXXXX";
static int leased, owned, of_thread;
static volatile sig_atomic_t breaks;

static void on_break(int number, siginfo_t *info, void *context)
{
	(void)number, (void)context;
	breaks += info->si_fd == leased;
}

static void set_leases(void)
{
	const struct sigaction action = {.sa_sigaction = on_break, .sa_flags = SA_SIGINFO | SA_RESTART};
	const struct f_owner_ex self = {F_OWNER_TID, gettid()};

	MUST(sigaction(SIGRTMIN + 5, &action, NULL) == 0);
	leased = mkstemp(name);
	MUST(fcntl(leased, F_SETSIG, SIGRTMIN + 5) == 0 && fcntl(leased, F_SETLEASE, F_WRLCK) == 0);
	owned = socket(AF_INET, SOCK_STREAM, 0);
	MUST(fcntl(owned, F_SETOWN, getpid()) == 0);
	of_thread = socket(AF_INET, SOCK_DGRAM, 0);
	MUST(fcntl(of_thread, F_SETOWN_EX, &self) == 0 && fcntl(of_thread, F_SETSIG, SIGUSR2) == 0);
}

/* Somebody else opens it: he waits, and we are told. */
static void check_leases(bool is_last)
{
	struct f_owner_ex owner;

	MUST(fcntl(leased, F_GETLEASE) == F_WRLCK && fcntl(leased, F_GETSIG) == SIGRTMIN + 5);
	MUST(fcntl(owned, F_GETOWN) == getpid());
	MUST(fcntl(of_thread, F_GETOWN_EX, &owner) == 0 && owner.type == F_OWNER_TID &&
	     owner.pid == gettid() && fcntl(of_thread, F_GETSIG) == SIGUSR2);
	if (!is_last)
		return;
	const pid_t child = fork();
	if (child == 0) {
		const int fd = open(name, O_RDONLY | O_NONBLOCK);
		_exit(fd < 0 && errno == EWOULDBLOCK ? 5 : 6);
	}
	int status = 0;
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	MUST(WEXITSTATUS(status) == 5 && breaks == 1);
	MUST(fcntl(leased, F_SETLEASE, F_UNLCK) == 0 && unlink(name) == 0);
}

/* ---- Entries that have fired ---- */

static int epoll, event, connection, quiet;

static void watch(int fd, uint32_t events)
{
	struct epoll_event entry = {.events = events, .data.fd = fd};

	MUST(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &entry) == 0);
}

static bool fires(int fd)
{
	struct epoll_event entries[8];
	const int count = epoll_wait(epoll, entries, 8, 0);

	for (int i = 0; i < count; i++)
		if (entries[i].data.fd == fd)
			return true;
	return false;
}

static void connect_to_self(int *ret_fd)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);
	const int listener = socket(AF_INET, SOCK_STREAM, 0);
	const int peer = socket(AF_INET, SOCK_STREAM, 0);

	MUST(bind(listener, (void *)&address, sizeof(address)) == 0 && listen(listener, 1) == 0);
	MUST(getsockname(listener, (void *)&address, &len) == 0);
	MUST(connect(peer, (void *)&address, sizeof(address)) == 0);
	*ret_fd = accept(listener, NULL, NULL);
	MUST(*ret_fd >= 0 && write(peer, "x", 1) == 1 && close(listener) == 0);
}

static void set_entries(void)
{
	epoll = epoll_create1(0);
	event = eventfd(1, 0);
	quiet = eventfd(0, 0);
	connect_to_self(&connection);
	watch(connection, EPOLLIN | EPOLLONESHOT);
	while (!fires(connection))
		;
	watch(event, EPOLLIN | EPOLLONESHOT | EPOLLET);
	MUST(fires(event));
	watch(quiet, EPOLLIN | EPOLLONESHOT);
	MUST(!fires(connection) && !fires(event) && !fires(quiet));
}

/* By now the connection is none. But whoever serves it has not asked yet. */
static void check_entries(bool is_last)
{
	struct epoll_event again = {.events = EPOLLIN | EPOLLONESHOT, .data.fd = connection};
	const uint64_t one = 1;

	MUST(!fires(connection) && !fires(event) && !fires(quiet));
	if (!is_last)
		return;
	MUST(write(quiet, &one, sizeof(one)) == sizeof(one) && fires(quiet));
	MUST(epoll_ctl(epoll, EPOLL_CTL_MOD, connection, &again) == 0 && fires(connection));
}

/* ---- Options ---- */

static int pair[2], many, single, sixth, links, listener;
static const unsigned loopback = 1;
static unsigned short port;

static void set_options(void)
{
	const struct ip_mreqn group = {{inet_addr("239.1.2.3")}, {0}, (int)loopback};
	const struct ip_mreqn left = {{inet_addr("239.1.2.4")}, {0}, (int)loopback};
	struct ipv6_mreq group6 = {.ipv6mr_interface = loopback};
	struct sockaddr_in address = {.sin_family = AF_INET};
	const int on = 1, route = RTNLGRP_LINK;
	socklen_t len = sizeof(address);

	many = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	MUST(bind(many, (void *)&address, sizeof(address)) == 0);
	MUST(getsockname(many, (void *)&address, &len) == 0);
	port = address.sin_port;
	MUST(setsockopt(many, IPPROTO_IP, IP_ADD_MEMBERSHIP, &left, sizeof(left)) == 0);
	MUST(setsockopt(many, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof(group)) == 0);
	MUST(setsockopt(many, IPPROTO_IP, IP_DROP_MEMBERSHIP, &left, sizeof(left)) == 0);
	MUST(setsockopt(many, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof(on)) == 0);
	MUST(syscall(SYS_setsockopt, many, IPPROTO_IP, IP_RECVTTL, &on, sizeof(on)) == 0);
	single = socket(AF_INET, SOCK_DGRAM, 0);
	sixth = socket(AF_INET6, SOCK_DGRAM, 0);
	if (sixth >= 0) {
		inet_pton(AF_INET6, "ff02::1234", &group6.ipv6mr_multiaddr);
		MUST(setsockopt(sixth, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &group6, sizeof(group6)) == 0);
	}
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	MUST(setsockopt(pair[1], SOL_SOCKET, SO_PEEK_OFF, &(int){3}, sizeof(int)) == 0);
	links = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	MUST(setsockopt(links, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &route, sizeof(route)) == 0);
	listener = socket(AF_INET, SOCK_STREAM, 0);
	MUST(setsockopt(listener, IPPROTO_TCP, TCP_CONGESTION, "reno", 4) == 0);
	MUST(setsockopt(listener, IPPROTO_TCP, TCP_MAXSEG, &(int){777}, sizeof(int)) == 0);
	MUST(listen(listener, 3) == 0);
}

static bool is_on(int fd, int level, int option)
{
	int value = 0;
	socklen_t len = sizeof(value);

	return getsockopt(fd, level, option, &value, &len) == 0 && value;
}

/* What is sent to a group comes to its members; to the loopback interface, so that all are here. */
static bool hears(const char *group)
{
	const struct ip_mreqn by = {.imr_ifindex = (int)loopback};
	const struct sockaddr_in to = {AF_INET, port, {inet_addr(group)}, {0}};
	char byte[4];

	while (recv(many, byte, sizeof(byte), 0) >= 0)
		;
	MUST(setsockopt(single, IPPROTO_IP, IP_MULTICAST_IF, &by, sizeof(by)) == 0);
	MUST(sendto(single, "m", 1, 0, (const void *)&to, sizeof(to)) == 1);
	return recv(many, byte, sizeof(byte), 0) == 1;
}

static bool is_member_of(int protocol_group)
{
	unsigned groups[4] = {0};
	socklen_t len = sizeof(groups);

	return getsockopt(links, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, groups, &len) == 0 &&
	       groups[0] >> (protocol_group - 1) & 1;
}

static bool has_group6(void)
{
	FILE *file = fopen("/proc/net/igmp6", "r");
	char line[128];
	bool is_there = false;

	while (file && fgets(line, sizeof(line), file))
		is_there |= strstr(line, "ff020000000000000000000000001234") != NULL;
	if (file)
		fclose(file);
	return is_there;
}

static void check_options(void)
{
	char congestion[16] = "";
	socklen_t len;

	MUST(hears("239.1.2.3") && !hears("239.1.2.4"));
	MUST(is_on(many, SOL_SOCKET, SO_RXQ_OVFL) && is_on(many, IPPROTO_IP, IP_RECVTTL));
	MUST(!is_on(many, IPPROTO_IP, IP_RECVTOS));
	MUST(sixth < 0 || has_group6());
	int offset = 0;
	len = sizeof(offset);
	MUST(getsockopt(pair[1], SOL_SOCKET, SO_PEEK_OFF, &offset, &len) == 0 && offset == 3);
	MUST(is_member_of(RTNLGRP_LINK) && !is_member_of(RTNLGRP_NEIGH));
	len = sizeof(congestion);
	MUST(getsockopt(listener, IPPROTO_TCP, TCP_CONGESTION, congestion, &len) == 0);
	MUST(strcmp(congestion, "reno") == 0);
	int size = 0;
	len = sizeof(size);
	MUST(getsockopt(listener, IPPROTO_TCP, TCP_MAXSEG, &size, &len) == 0 && size == 777);
}

/* ---- Semaphores that are given back ---- */

static int semaphores;

/* What has been taken and given back, or is no more, is no reason not to be kept. */
static void use_semaphores(void)
{
	struct sembuf give = {0, 1, 0}, take = {0, -1, SEM_UNDO}, back = {0, 1, SEM_UNDO};
	const int removed = semget(IPC_PRIVATE, 1, 0600);

	semaphores = semaphores ? semaphores : semget(IPC_PRIVATE, 1, 0600);
	MUST(semop(semaphores, &give, 1) == 0 && semop(semaphores, &take, 1) == 0);
	MUST(semop(semaphores, &back, 1) == 0);
	MUST(semop(removed, &give, 1) == 0 && semop(removed, &take, 1) == 0);
	MUST(semctl(removed, 0, IPC_RMID) == 0);
}

int main(void)
{
	set_leases();
	set_entries();
	set_options();
	check_options();
	use_semaphores();
	for (int life = 2; life <= LIVES; life++) {
		die();
		check_leases(life == LIVES);
		check_entries(life == LIVES);
		check_options();
	}
	use_semaphores();
	MUST(semctl(semaphores, 0, GETVAL) == 2 && semctl(semaphores, 0, IPC_RMID) == 0);
	printf("%d failures\n", failures);
	return failures != 0;
}
