/*
 * Sockets in a new process: as they were told to be, at their address; or ends of connections that
 * are gone.
 */
#include "files-socket.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "os.h"
#include "socket-said.h"
#include "socket-unix.h"

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

/* 0: nobody is behind this file any more. To connect() a file that is no socket looks the same. */
static int is_file_dead(const struct socket_part *part)
{
	struct stat st;

	if (os_stat(socket_path(part), &st) == 0 && !S_ISSOCK(st.st_mode))
		return -EEXIST;
	const int fd = os_socket(part->family, part->type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int error = fd < 0 ? fd : os_connect(fd, part->name, part->name_len);

	if (fd >= 0)
		os_close(fd);
	return error == -ECONNREFUSED || error == -ENOENT ? 0 : error < 0 && error != -EAGAIN &&
	       error != -EPROTOTYPE ? error : -EADDRINUSE;
}

/* Whose it was it may be no more: then who may connect is not who might, and that is told. */
static int give_file(const struct socket_part *part, const char *path)
{
	struct stat st;
	int error = os_stat(path, &st);

	if (!error && (st.st_uid != part->file_uid || st.st_gid != part->file_gid) &&
	    os_chown(path, part->file_uid, part->file_gid) != 0)
		file_notice(path, "belongs to another user or group than it did");
	return error ? error : os_chmod(path, part->file_mode & 07777);
}

/* A listener that is gone a moment ago, or connections of its that wait to be forgotten, are no
 * reason not to listen again: SO_REUSEADDR, whatever the program had set. */
static int bind_again(const struct socket_part *part, int fd)
{
	const char *path = socket_path(part);
	const int one = 1, reuse = socket_option(fd, SOL_SOCKET, SO_REUSEADDR);

	if (path && part->file_mode) {
		int error = is_file_dead(part);
		if (error)
			return error;
		os_unlink(path);
	}
	if (socket_is_tcp(part))
		os_setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	int error = os_bind(fd, part->name, part->name_len);
	if (socket_is_tcp(part))
		os_setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof(reuse));
	if (!error && path && !part->file_mode)
		os_unlink(path);
	return !error && path && part->file_mode ? give_file(part, path) : error;
}

/* Numbers the kernel chose, or files that are gone already, are not worth a refusal. */
static bool can_do_without_name(const struct socket_part *part)
{
	return part->family == AF_NETLINK || (part->peer_len && part->family != AF_UNIX) ||
	       (socket_path(part) && !part->file_mode);
}

/* As it was told to be: what can be asked for, and what cannot. */
static void tell(const struct file_record *record, int fd, const struct ledger_reader *state)
{
	const struct socket_part *part = socket_part_of(record);
	char text[32];
	struct line line = line_in(text, sizeof(text));

	const bool is_whole = socket_options_write(fd, part->family, part->type, &part->options);
	line_add(&line, "descriptor ");
	line_add_number(&line, record->fd, 10);
	if (!said_make(fd, record->fd, state) || !is_whole)
		file_notice(text, "a socket, is refused an option or a membership it had");
}

static int make_loose(const struct file_record *record, int fd, const struct ledger_reader *state,
		      struct line *why)
{
	const struct socket_part *part = socket_part_of(record);

	tell(record, fd, state);
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
int socket_finish(const struct file_record *record, const struct ledger_reader *state,
		  struct line *why)
{
	const struct socket_part *part = socket_part_of(record);

	(void)state, (void)why;
	if (part->state == SOCKET_LOOSE && part->peer_len && !record->callers)
		os_connect((int)record->fd, part->peer, part->peer_len);
	return 0;
}

static int dead_end(const struct socket_part *part)
{
	int ends[2];

	if (socket_is_tcp(part)) {
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
	const struct socket_part *part = socket_part_of(record);
	const struct file_record *other =
		part->peer_ino ? file_first(state, FILE_SOCKET, record->dev, part->peer_ino) : NULL;
	int ends[2];

	if (other && other->fd < record->fd)
		return (int)record->fd;
	int error = os_socketpair(AF_UNIX, part->type | SOCK_CLOEXEC, 0, ends);
	if (error)
		return error;
	const int mine = other && ends[0] == (int)other->fd; /* it is there by chance */
	tell(record, ends[mine], state);
	if (other)
		tell(other, ends[!mine], state);
	error = unix_fill_queue((int)record->fd, ends[!mine], state);
	if (!error && other)
		error = unix_fill_queue((int)other->fd, ends[mine], state);
	if (part->is_shut)
		os_shutdown(ends[mine], SHUT_RD);
	if (other && socket_part_of(other)->is_shut)
		os_shutdown(ends[!mine], SHUT_RD);
	if (!other)
		os_close(ends[!mine]);
	else if (!error)
		error = file_place(ends[!mine], (int)other->fd, false);
	return error ? error : ends[mine];
}

int socket_make(const struct file_record *record, const struct ledger_reader *state,
		struct line *why)
{
	const struct socket_part *part = socket_part_of(record);

	if (part->state == SOCKET_DEAD)
		return dead_end(part);
	if (part->state == SOCKET_PAIRED)
		return make_pair(record, state);
	const int fd = os_socket(part->family, part->type | SOCK_CLOEXEC, part->protocol);
	if (fd < 0)
		return fd;
	const int error = make_loose(record, fd, state, why);
	if (error)
		os_close(fd);
	return error ? error : fd;
}

/* Without SO_REUSEADDR its own last connections are in its way, as in that of any program that is
 * started again. */
static const char *why_not_bound(const struct socket_part *part, int error)
{
	if (error != -EADDRINUSE)
		return "descriptor %u was bound to it, and cannot be now: error %d (%s)";
	if (socket_path(part) || part->type != SOCK_STREAM)
		return "descriptor %u was bound to it, and another process has it now; end that";
	return "descriptor %u was bound to it, and another process has it now, or connections of "
	       "before are not over (TIME_WAIT); end that, or try again in a minute";
}

#define TRIES 40
#define PAUSE_NS 50000000 /* a child of the old process may still be dying */

/* Bound for a moment, while it can still be refused. */
int socket_check(const struct file_record *record, const struct ledger_reader *state,
		 struct refusal *ret_why)
{
	const struct socket_part *part = socket_part_of(record);
	char address[160];
	struct line line = line_in(address, sizeof(address));
	int error = 0;

	(void)state;
	if ((part->state != SOCKET_LOOSE && part->state != SOCKET_LISTENING) || !has_name(part) ||
	    can_do_without_name(part))
		return 0;
	for (int i = 0; i < TRIES; i++) {
		if (socket_path(part)) {
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
	return refuse(ret_why, STATUS_INCOMPATIBLE, address, why_not_bound(part, error), record->fd,
		      -error, strerrordesc_np(-error));
}
