/*
 * Sockets, as far as a process holds them alone: created, bound, listening, datagrams with a fixed
 * peer. They are made again with the options they had, at the address they had.
 *
 * A connection has its other half elsewhere, and that is gone: it comes back as a socket of the
 * same family on which reads end and writes fail with EPIPE, as if the peer had closed. A fresh TCP
 * socket that is shut down is just that.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/un.h>

#include "descriptor.h"
#include "files-kind.h"
#include "os.h"
#include "socket-options.h"
#include "socket-unix.h"

enum socket_state {
	SOCKET_LOOSE = 1, /* no connection, no queue of them; datagrams */
	SOCKET_LISTENING,
	SOCKET_DEAD,      /* connected, or was, or is about to be */
	SOCKET_UNKNOWN,   /* a veto */
	SOCKET_PAIRED,    /* unix, connected: the peer may be ours as well */
};

struct socket_part {
	int32_t family;
	int32_t type;
	int32_t protocol;
	uint32_t state;
	uint32_t backlog;
	uint32_t file_mode; /* of a bound unix socket; 0: its file is gone */
	uint32_t name_len;
	uint32_t peer_len; /* 0: none, or of no use */
	uint32_t peer_ino; /* PAIRED */
	uint32_t is_shut;  /* PAIRED: nothing more will come */
	char name[sizeof(struct sockaddr_storage)];
	char peer[sizeof(struct sockaddr_storage)];
	struct socket_options options;
};

static struct socket_part *part_of(const struct file_record *record)
{
	return (struct socket_part *)(uintptr_t)record->part;
}

static bool claims(const struct file_look *look)
{
	return S_ISSOCK(look->st.st_mode) && file_text_begins(look->link, "socket:");
}

static int option(int fd, int level, int name)
{
	int value = -1;
	uint32_t len = sizeof(value);

	return os_getsockopt(fd, level, name, &value, &len) < 0 ? -1 : value;
}

static bool is_stream(const struct socket_part *part)
{
	return part->type == SOCK_STREAM || part->type == SOCK_SEQPACKET;
}

static bool is_tcp(const struct socket_part *part)
{
	return (part->family == AF_INET || part->family == AF_INET6) && part->type == SOCK_STREAM;
}

/* What has been connected once and is closed by the peer looks fresh but for this. */
static bool has_ended(int fd)
{
	struct pollfd poll = {.fd = fd, .events = POLLRDHUP};

	return os_poll_now(&poll, 1) > 0 && (poll.revents & POLLRDHUP);
}

static enum socket_state state_of(const struct socket_part *part, int fd, uint64_t ino,
				  bool has_peer)
{
	struct tcp_info info = {0};
	uint32_t len = sizeof(info);

	if (part->family != AF_INET && part->family != AF_INET6 && part->family != AF_UNIX &&
	    part->family != AF_NETLINK)
		return SOCKET_UNKNOWN;
	if (option(fd, SOL_SOCKET, SO_ACCEPTCONN) == 1)
		return SOCKET_LISTENING;
	if (part->family == AF_UNIX && has_peer &&
	    (is_stream(part) || (part->peer_ino != ino && part->peer_len <= sizeof(sa_family_t))))
		return SOCKET_PAIRED;
	if (!is_stream(part))
		return SOCKET_LOOSE;
	if (is_tcp(part) && os_getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) >= 0 &&
	    info.tcpi_state != TCP_CLOSE)
		return SOCKET_DEAD;
	return has_peer || has_ended(fd) ? SOCKET_DEAD : SOCKET_LOOSE;
}

/* The kernel shows a TCP listener's in a field that means something else elsewhere. */
static uint32_t backlog_of(const struct socket_part *part, int fd, uint32_t shown)
{
	struct tcp_info info = {0};
	uint32_t len = sizeof(info);

	if (is_tcp(part) && os_getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) >= 0 &&
	    info.tcpi_sacked)
		return info.tcpi_sacked;
	return shown ? shown : SOMAXCONN;
}

/* The path of a unix socket that has one. */
static const char *path_of(const struct socket_part *part)
{
	const struct sockaddr_un *un = (const void *)part->name;

	return part->family == AF_UNIX && part->name_len > sizeof(un->sun_family) &&
	       un->sun_path[0] ? un->sun_path : NULL;
}

static uint32_t file_mode_of(const struct socket_part *part)
{
	const char *path = path_of(part);
	struct stat st;

	return path && os_stat(path, &st) == 0 && S_ISSOCK(st.st_mode) ? st.st_mode : 0;
}

static size_t describe(const struct file_look *look, struct file_record *record)
{
	struct socket_part *part = part_of(record);
	struct unix_answer answer = {0};
	const int fd = look->fd;

	memset(part, 0, sizeof(*part));
	part->family = option(fd, SOL_SOCKET, SO_DOMAIN);
	part->type = option(fd, SOL_SOCKET, SO_TYPE);
	part->protocol = option(fd, SOL_SOCKET, SO_PROTOCOL);
	if (part->family == AF_UNIX)
		unix_ask(look->st.st_ino, &answer);
	part->peer_ino = answer.peer_ino;
	part->peer_len = sizeof(part->peer);
	const bool has_peer = os_getpeername(fd, part->peer, &part->peer_len) >= 0;
	part->state = state_of(part, fd, look->st.st_ino, has_peer);
	if (!has_peer || part->state != SOCKET_LOOSE) {
		part->peer_len = 0;
		memset(part->peer, 0, sizeof(part->peer));
	}
	if (part->state == SOCKET_DEAD || part->state == SOCKET_UNKNOWN) /* no more is needed */
		return offsetof(struct socket_part, name);
	part->name_len = sizeof(part->name) - 1; /* a zero behind a path */
	if (os_getsockname(fd, part->name, &part->name_len) < 0)
		part->name_len = 0;
	part->file_mode = file_mode_of(part);
	if (part->state == SOCKET_LISTENING)
		part->backlog = backlog_of(part, fd, answer.backlog);
	part->is_shut = part->state == SOCKET_PAIRED && has_ended(fd);
	socket_options_read(fd, part->family, part->type, &part->options);
	return sizeof(*part);
}

/* A connection is dead at a resume, whatever becomes of it until then; of two that hang together
 * only what is in them changes, and that they end; who listens is done with being set up. All
 * others are few, and are described again. */
static bool refresh(struct file_record *record, const struct stat *st)
{
	struct socket_part *part = part_of(record);

	(void)st;
	if (part->state == SOCKET_LISTENING)
		return option((int)record->fd, SOL_SOCKET, SO_ACCEPTCONN) == 1;
	if (part->state == SOCKET_PAIRED)
		part->is_shut = has_ended((int)record->fd);
	return part->state == SOCKET_DEAD || part->state == SOCKET_PAIRED;
}

static void save(const struct file_record *record, struct ledger_writer *writer)
{
	const struct socket_part *part = part_of(record);
	char text[64];
	struct line line = line_in(text, sizeof(text));

	if (part->state == SOCKET_PAIRED && !record->callers)
		unix_save_queue((int)record->fd, part->type, writer);
	if (part->state != SOCKET_UNKNOWN || record->callers)
		return;
	line_add(&line, "descriptor ");
	line_add_number(&line, record->fd, 10);
	line_add(&line, ", a socket of family ");
	line_add_number(&line, (uint64_t)part->family, 10);
	ledger_veto(writer, text, NULL);
}

/* ---- in a new process ---- */

static bool has_name(const struct socket_part *part)
{
	const struct sockaddr_in *in = (const void *)part->name;
	const struct sockaddr_in6 *in6 = (const void *)part->name;

	switch (part->family) {
	case AF_INET: return in->sin_port != 0 || in->sin_addr.s_addr != 0;
	case AF_INET6: return in6->sin6_port != 0;
	case AF_UNIX: return part->name_len > sizeof(((struct sockaddr_un *)0)->sun_family);
	default: return part->name_len > 0;
	}
}

static void add_address(struct line *line, const struct socket_part *part)
{
	const struct sockaddr_in *in = (const void *)part->name;
	const struct sockaddr_un *un = (const void *)part->name;
	const unsigned char *byte = (const void *)&in->sin_addr;

	if (part->family == AF_UNIX) {
		line_add(line, un->sun_path[0] ? un->sun_path : un->sun_path + 1);
		return;
	}
	if (part->family == AF_INET)
		for (int i = 0; i < 4; i++) {
			line_add_number(line, byte[i], 10);
			line_add(line, i < 3 ? "." : ":");
		}
	else
		line_add(line, "port ");
	line_add_number(line, ntohs(in->sin_port), 10); /* at the same place in both */
}

/* 0: nobody is behind this file any more. */
static int is_file_dead(const struct socket_part *part)
{
	const int fd = os_socket(part->family, part->type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int error = fd < 0 ? fd : os_connect(fd, part->name, part->name_len);

	if (fd >= 0)
		os_close(fd);
	return error == -ECONNREFUSED || error == -ENOENT ? 0 : error < 0 && error != -EAGAIN &&
	       error != -EPROTOTYPE ? error : -EADDRINUSE;
}

/* A listener that is gone a moment ago, or connections of its that wait to be forgotten, are no
 * reason not to listen again: SO_REUSEADDR, whatever the program had set. */
static int bind_again(const struct socket_part *part, int fd)
{
	const char *path = path_of(part);
	const int one = 1, reuse = option(fd, SOL_SOCKET, SO_REUSEADDR);

	if (path && part->file_mode) {
		int error = is_file_dead(part);
		if (error)
			return error;
		os_unlink(path);
	}
	if (is_tcp(part))
		os_setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	int error = os_bind(fd, part->name, part->name_len);
	if (is_tcp(part))
		os_setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof(reuse));
	if (!error && path) {
		if (part->file_mode)
			os_chmod(path, part->file_mode & 07777);
		else
			os_unlink(path);
	}
	return error;
}

/* Numbers the kernel chose, or files that are gone already, are not worth a refusal. */
static bool can_do_without_name(const struct socket_part *part)
{
	return part->family == AF_NETLINK || (part->peer_len && part->family != AF_UNIX) ||
	       (path_of(part) && !part->file_mode);
}

static int make_loose(const struct socket_part *part, int fd, struct line *why)
{
	socket_options_write(fd, part->family, part->type, &part->options);
	int error = has_name(part) ? bind_again(part, fd) : 0;
	if (error && !can_do_without_name(part)) {
		add_address(why, part);
		return error;
	}
	if (part->state == SOCKET_LISTENING)
		return os_listen(fd, (int)part->backlog);
	return 0;
}

/* A fixed peer of datagrams may be one of ours; that it is gone is found out by sending. */
static int finish(const struct file_record *record, const struct ledger_reader *state,
		  struct line *why)
{
	const struct socket_part *part = part_of(record);

	(void)state, (void)why;
	if (part->state == SOCKET_LOOSE && part->peer_len && !record->callers)
		os_connect((int)record->fd, part->peer, part->peer_len);
	return 0;
}

static int dead_end(const struct socket_part *part)
{
	int ends[2];

	if (is_tcp(part)) {
		int fd = os_socket(part->family, part->type | SOCK_CLOEXEC, part->protocol);
		if (fd >= 0)
			os_shutdown(fd, SHUT_RDWR); /* says that it is not connected, and does it */
		if (fd != -EAFNOSUPPORT)
			return fd;
	}
	const int type = part->family == AF_UNIX ? part->type : SOCK_STREAM;
	int error = os_socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends);
	if (error)
		return error;
	os_close(ends[1]);
	return ends[0];
}

/* Both ends of what hung together, the other one put in its place; or one, of which the other is
 * gone when what is in it has been sent. */
static int make_pair(const struct file_record *record, const struct ledger_reader *state)
{
	const struct socket_part *part = part_of(record);
	const struct file_record *other =
		part->peer_ino ? file_first(state, FILE_SOCKET, part->peer_ino) : NULL;
	int ends[2];

	if (other && other->fd < record->fd)
		return (int)record->fd;
	int error = os_socketpair(AF_UNIX, part->type | SOCK_CLOEXEC, 0, ends);
	if (error)
		return error;
	const int mine = other && ends[0] == (int)other->fd; /* it is there by chance */
	socket_options_write(ends[mine], AF_UNIX, part->type, &part->options);
	if (other)
		socket_options_write(ends[!mine], AF_UNIX, part->type, &part_of(other)->options);
	error = unix_fill_queue((int)record->fd, ends[!mine], state);
	if (!error && other)
		error = unix_fill_queue((int)other->fd, ends[mine], state);
	if (part->is_shut)
		os_shutdown(ends[mine], SHUT_RD);
	if (other && part_of(other)->is_shut)
		os_shutdown(ends[!mine], SHUT_RD);
	if (!other)
		os_close(ends[!mine]);
	else if (!error)
		error = file_place(ends[!mine], (int)other->fd, false);
	return error ? error : ends[mine];
}

static int make(const struct file_record *record, const struct ledger_reader *state,
		struct line *why)
{
	const struct socket_part *part = part_of(record);

	if (part->state == SOCKET_DEAD)
		return dead_end(part);
	if (part->state == SOCKET_PAIRED)
		return make_pair(record, state);
	const int fd = os_socket(part->family, part->type | SOCK_CLOEXEC, part->protocol);
	if (fd < 0)
		return fd;
	const int error = make_loose(part, fd, why);
	if (error)
		os_close(fd);
	return error ? error : fd;
}

#define TRIES 40
#define PAUSE_NS 50000000 /* a child of the old process may still be dying */

/* Bound for a moment, while it can still be refused. */
static int check(const struct file_record *record, const struct ledger_reader *state,
		 struct refusal *ret_why)
{
	const struct socket_part *part = part_of(record);
	char address[160];
	struct line line = line_in(address, sizeof(address));
	int error = 0;

	(void)state;
	if ((part->state != SOCKET_LOOSE && part->state != SOCKET_LISTENING) || !has_name(part) ||
	    can_do_without_name(part))
		return 0;
	for (int i = 0; i < TRIES; i++) {
		if (path_of(part)) {
			error = is_file_dead(part);
		} else {
			const int fd = os_socket(part->family, part->type | SOCK_CLOEXEC,
						 part->protocol);
			error = fd;
			if (fd >= 0) {
				socket_options_write(fd, part->family, part->type, &part->options);
				error = bind_again(part, fd);
				os_close(fd);
			}
		}
		if (error != -EADDRINUSE)
			break;
		os_sleep_ns(PAUSE_NS);
	}
	if (!error)
		return 0;
	add_address(&line, part);
	return refuse(ret_why, STATUS_INCOMPATIBLE, address,
		      error == -EADDRINUSE ?
			      "descriptor %u was bound to it, and another process has it now; end that" :
			      "descriptor %u was bound to it, and cannot be now (error %d)",
		      record->fd, -error);
}

const struct file_kind file_socket = {
	.claims = claims,
	.describe = describe,
	.refresh = refresh,
	.save = save,
	.check = check,
	.make = make,
	.finish = finish,
};
