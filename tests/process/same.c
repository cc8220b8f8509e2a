/*
 * Everything the kernel says of a process (status, limits), of its descriptors (fdinfo), its sockets
 * (whatever getsockopt() knows) and its mappings (flags in smaps) is what it said in the life before.
 *
 * But for what is told to be another: see differs().
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "killed.h"

#define LIVES 3
#define TEXT_BYTES (256 << 10)
#define FDS 40

static char texts[2][TEXT_BYTES];
static char *text; /* being written */
static size_t text_len;

__attribute__((format(printf, 1, 2))) static void add(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	text_len += (size_t)vsnprintf(text + text_len, TEXT_BYTES - text_len, format, args);
	va_end(args);
	if (text_len >= TEXT_BYTES)
		_exit(3);
}

/* ---- What there is to be the same ---- */

static int set(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value));
}

static void make_sockets(void)
{
	const struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const struct timeval patience = {5, 0};
	const int datagrams = socket(AF_INET, SOCK_DGRAM, 0), fresh = socket(AF_INET, SOCK_STREAM, 0);
	const int sixth = socket(AF_INET6, SOCK_STREAM, 0), links = socket(AF_NETLINK, SOCK_RAW, 0);
	int pair[2];

	if (bind(datagrams, (const void *)&here, sizeof(here)) != 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0)
		_exit(4);
	set(datagrams, SOL_SOCKET, SO_RCVBUF, 50000);
	set(datagrams, SOL_SOCKET, SO_BUSY_POLL, 50);
	set(datagrams, IPPROTO_IP, IP_TTL, 9);
	set(datagrams, IPPROTO_IP, IP_MINTTL, 5);
	set(fresh, SOL_SOCKET, SO_KEEPALIVE, 1);
	set(fresh, IPPROTO_TCP, TCP_USER_TIMEOUT, 999);
	set(fresh, IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, 1);
	set(sixth, SOL_SOCKET, SO_REUSEADDR, 1);
	set(sixth, IPPROTO_TCP, TCP_FASTOPEN, 5);
	set(sixth, IPPROTO_TCP, TCP_DEFER_ACCEPT, 3);
	set(sixth, IPPROTO_TCP, TCP_MAXSEG, 900);
	set(sixth, IPPROTO_TCP, TCP_SAVE_SYN, 1);
	set(sixth, IPPROTO_TCP, TCP_LINGER2, 7);
	set(sixth, IPPROTO_TCP, TCP_WINDOW_CLAMP, 30000);
	set(sixth, IPPROTO_IPV6, IPV6_RECVPATHMTU, 1);
	set(links, 270, 10, 1); /* SOL_NETLINK, NETLINK_CAP_ACK */
	set(pair[0], SOL_SOCKET, SO_PASSCRED, 1);
	set(pair[0], SOL_SOCKET, SO_PEEK_OFF, 0);
	setsockopt(pair[1], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	listen(sixth, 7);
}

static void make_files(void)
{
	const struct itimerspec far = {{5, 0}, {4000000000, 0}};
	struct epoll_event event = {EPOLLIN | EPOLLET | EPOLLEXCLUSIVE, {.u64 = 0x1234567890}};
	const int counter = eventfd(7, EFD_SEMAPHORE | EFD_NONBLOCK), epoll = epoll_create1(0);
	const int timer = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK);
	sigset_t signals;
	int ends[2];

	sigemptyset(&signals);
	sigaddset(&signals, SIGUSR1);
	signalfd(-1, &signals, SFD_CLOEXEC);
	timerfd_settime(timer, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &far, NULL);
	epoll_ctl(epoll, EPOLL_CTL_ADD, counter, &event);
	if (pipe2(ends, O_CLOEXEC | O_DIRECT) != 0)
		_exit(5);
	fcntl(ends[0], F_SETPIPE_SZ, 8192);
	open("/etc/passwd", O_RDONLY | O_NOATIME);
	open("/etc/passwd", O_PATH);
	open("/dev/null", O_WRONLY | O_APPEND);
}

static void map(int protection, int flags, int advice)
{
	char *at = mmap(NULL, 1 << 20, protection, flags | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED || (advice >= 0 && madvise(at, 4096, advice) != 0))
		_exit(6);
}

static void make_rest(void)
{
	const struct rlimit limit = {700, 800}; /* room for what is ours */

	setrlimit(RLIMIT_NOFILE, &limit);
	umask(031);
	map(PROT_READ | PROT_WRITE, MAP_PRIVATE, MADV_RANDOM);
	map(PROT_NONE, MAP_PRIVATE, -1);
	map(PROT_READ, MAP_PRIVATE | MAP_STACK, -1);
	map(PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE, MADV_DONTFORK);
	map(PROT_READ | PROT_WRITE, MAP_SHARED, MADV_DONTDUMP);
}

/* ---- What the kernel says ---- */

/* Uses of memory and of time, numbers that are given out anew. */
static bool differs(const char *line)
{
	static const char *const begin[] = {"Vm", "Rss", "SigQ", "State", "voluntary", "nonvoluntary",
					    "Mems", "Threads", "HugetlbPages", "mnt_id", "ino:", "it_value",
					    "eventfd-id", "Cpus_allowed"};

	for (unsigned i = 0; i < sizeof(begin) / sizeof(*begin); i++)
		if (strncmp(line, begin[i], strlen(begin[i])) == 0)
			return true;
	return false;
}

static void add_file(const char *path)
{
	FILE *file = fopen(path, "r");
	char line[512];

	while (file && fgets(line, sizeof(line), file)) {
		char *inode = strstr(line, " ino:"); /* of an entry of an epoll */
		if (inode)
			memset(inode, 0, 1);
		if (strncmp(line, "flags:", 6) == 0) /* O_LARGEFILE is everybody's, but for pipes */
			add("%s: flags %lo\n", path, strtoul(line + 6, NULL, 8) | 0100000);
		else if (!differs(line))
			add("%s: %s\n", path, line);
	}
	if (file)
		fclose(file);
}

/* A clock, the processor a packet came by; and one that makes a descriptor. */
static bool is_of_now(int level, int name)
{
	return (level == IPPROTO_TCP && (name == TCP_TIMESTAMP || name == TCP_INFO)) ||
	       (level == SOL_SOCKET && (name == SO_INCOMING_CPU || name == SO_COOKIE || name == 77));
}

static void add_options(int fd)
{
	static const int levels[] = {IPPROTO_IP, SOL_SOCKET, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_IPV6, 270};

	for (unsigned i = 0; i < sizeof(levels) / sizeof(*levels); i++)
		for (int name = 0; name < 120; name++) {
			unsigned char value[64] = {0};
			socklen_t len = sizeof(value);
			if (is_of_now(levels[i], name) || getsockopt(fd, levels[i], name, value, &len) != 0)
				continue;
			add("option %d %d %d:", fd, levels[i], name);
			for (socklen_t j = 0; j < len; j++)
				add(" %02x", value[j]);
			add("\n");
		}
}

/* Reserved memory and pages that are watched are ours to decide. */
static void add_flags(char *line)
{
	static const char *const ours[] = {" ac", " nr", " uw", " sd"};

	for (unsigned i = 0; i < sizeof(ours) / sizeof(*ours); i++) {
		char *at = strstr(line, ours[i]);
		if (at)
			memmove(at, at + 3, strlen(at + 3) + 1);
	}
	add("%s", line);
}

static bool is_here(const char *line)
{
	static const char *const kinds[] = {" rw-p 00000000 00:00 0 \n", " ---p ", " r--p 00000000 00:00 0",
					    " rwxp ", " rw-s "};

	for (unsigned i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (strstr(line, kinds[i]))
			return strncmp(line, "7f", 2) == 0 && !strstr(line, "/lib");
	return false;
}

/* Neighbours of one kind may be one by now: only what has flags that are not everybody's. */
static void add_mappings(void)
{
	FILE *smaps = fopen("/proc/self/smaps", "r");
	bool is_one = false;
	char line[512];

	while (smaps && fgets(line, sizeof(line), smaps)) {
		if (strchr("0123456789abcdef", line[0]))
			is_one = is_here(line);
		if (is_one && strncmp(line, "VmFlags:", 8) == 0 &&
		    (strstr(line, " rr") || strstr(line, " nh") || strstr(line, " dc") || strstr(line, " dd")))
			add_flags(line);
	}
	if (smaps)
		fclose(smaps);
}

static void look(int life)
{
	char path[64];

	text = texts[life & 1];
	text_len = 0;
	add_file("/proc/self/status");
	add_file("/proc/self/limits");
	add_file("/proc/self/coredump_filter");
	add_file("/proc/self/cgroup");
	for (int fd = 3; fd < FDS; fd++) {
		struct stat st;
		if (fstat(fd, &st) != 0 || fd == fileno(stdin))
			continue;
		snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
		add_file(path);
		if (S_ISSOCK(st.st_mode))
			add_options(fd);
	}
	add_mappings();
}

static void compare(int life)
{
	char *a = texts[(life - 1) & 1], *b = texts[life & 1];
	unsigned lines = 0;

	for (; *a && *b; lines++) {
		const size_t a_len = strcspn(a, "\n"), b_len = strcspn(b, "\n");
		if (a_len != b_len || memcmp(a, b, a_len) != 0) {
			printf("life %d: %.*s\n    was: %.*s\n", life, (int)b_len, b, (int)a_len, a);
			failures++;
		}
		a += a_len + (a[a_len] != 0);
		b += b_len + (b[b_len] != 0);
	}
	if (*a || *b || lines < 300) {
		printf("life %d: after %u lines one says more: %s%s\n", life, lines, a, b);
		failures++;
	}
}

int main(void)
{
	make_sockets();
	make_files();
	make_rest();
	look(1);
	for (int life = 2; life <= LIVES; life++) {
		die();
		look(life);
		compare(life);
	}
	printf("%zu bytes said, %d failures\n", text_len, failures);
	return failures != 0;
}
