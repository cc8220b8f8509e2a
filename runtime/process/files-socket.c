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

#include "files-socket.h"
#include "os.h"
#include "socket-said.h"
#include "socket-unix.h"

static bool claims(const struct file_look *look)
{
	return S_ISSOCK(look->st.st_mode) && file_text_begins(look->link, "socket:");
}

static bool is_stream(const struct socket_part *part)
{
	return part->type == SOCK_STREAM || part->type == SOCK_SEQPACKET;
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
	if (socket_option(fd, SOL_SOCKET, SO_ACCEPTCONN) == 1)
		return SOCKET_LISTENING;
	if (part->family == AF_UNIX && has_peer &&
	    (is_stream(part) || (part->peer_ino != ino && part->peer_len <= sizeof(sa_family_t))))
		return SOCKET_PAIRED;
	if (!is_stream(part))
		return SOCKET_LOOSE;
	if (socket_is_tcp(part) && os_getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) >= 0 &&
	    info.tcpi_state != TCP_CLOSE)
		return SOCKET_DEAD;
	return has_peer || has_ended(fd) ? SOCKET_DEAD : SOCKET_LOOSE;
}

/* The kernel shows a TCP listener's in a field that means something else elsewhere. */
static uint32_t backlog_of(const struct socket_part *part, int fd, uint32_t shown)
{
	struct tcp_info info = {0};
	uint32_t len = sizeof(info);

	if (socket_is_tcp(part) && os_getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) >= 0 &&
	    info.tcpi_sacked)
		return info.tcpi_sacked;
	return shown ? shown : SOMAXCONN;
}

/* Who may connect to it is what its file says. */
static void describe_file(struct socket_part *part)
{
	const char *path = socket_path(part);
	struct stat st;

	if (!path || os_stat(path, &st) != 0 || !S_ISSOCK(st.st_mode))
		return;
	part->file_mode = st.st_mode;
	part->file_uid = st.st_uid;
	part->file_gid = st.st_gid;
}

static bool has_relative_path(const struct socket_part *part)
{
	const char *path = part->state == SOCKET_LOOSE || part->state == SOCKET_LISTENING ?
				   socket_path(part) : NULL;

	return path && *path != '/';
}

/* The working directory it was bound in may be another. */
static bool has_lost_sight_of_file(const struct socket_part *part)
{
	return has_relative_path(part) && !part->file_mode;
}

/* Its state, its name and its peer's. */
static void describe_ends(struct socket_part *part, int fd, uint64_t ino)
{
	memset(part->peer, 0, sizeof(part->peer));
	memset(part->name, 0, sizeof(part->name));
	part->peer_len = sizeof(part->peer);
	part->name_len = sizeof(part->name) - 1; /* a zero behind a path */
	const bool has_peer = os_getpeername(fd, part->peer, &part->peer_len) >= 0;
	part->state = state_of(part, fd, ino, has_peer);
	if (!has_peer || part->state != SOCKET_LOOSE) {
		part->peer_len = 0;
		memset(part->peer, 0, sizeof(part->peer));
	}
	if (os_getsockname(fd, part->name, &part->name_len) < 0)
		part->name_len = 0;
}

static size_t describe(const struct file_look *look, struct file_record *record)
{
	struct socket_part *part = socket_part_of(record);
	struct unix_answer answer = {0};
	const int fd = look->fd;

	memset(part, 0, sizeof(*part));
	part->family = socket_option(fd, SOL_SOCKET, SO_DOMAIN);
	part->type = socket_option(fd, SOL_SOCKET, SO_TYPE);
	part->protocol = socket_option(fd, SOL_SOCKET, SO_PROTOCOL);
	if (part->family == AF_UNIX)
		unix_ask(look->st.st_ino, &answer);
	part->peer_ino = answer.peer_ino;
	describe_ends(part, fd, look->st.st_ino);
	if (part->state == SOCKET_DEAD || part->state == SOCKET_UNKNOWN) /* no more is needed */
		return offsetof(struct socket_part, name);
	describe_file(part);
	if (part->state == SOCKET_LISTENING)
		part->backlog = backlog_of(part, fd, answer.backlog);
	part->is_shut = part->state == SOCKET_PAIRED && has_ended(fd);
	part->options_age = said_age();
	socket_options_read(fd, part->family, part->type, &part->options);
	return sizeof(*part);
}

/* What it is bound to or sends to may change in other ways than its options. */
static bool refresh_datagrams(struct socket_part *part, int fd, uint64_t ino)
{
	if (part->options_age != said_age() || (part->family != AF_INET && part->family != AF_INET6))
		return false;
	describe_ends(part, fd, ino);
	return part->state == SOCKET_LOOSE;
}

/* A connection is dead at a resume, whatever becomes of it until then; of two that hang together
 * only what is in them changes, and that they end; who listens is done with being set up. The rest
 * are few, and are described again, but not all their options. */
static bool refresh(struct file_record *record, const struct stat *st)
{
	struct socket_part *part = socket_part_of(record);

	if (part->state == SOCKET_LOOSE)
		return refresh_datagrams(part, (int)record->fd, st->st_ino);
	if (has_relative_path(part)) /* the working directory may be another by now */
		return false;
	if (part->state == SOCKET_LISTENING)
		return socket_option((int)record->fd, SOL_SOCKET, SO_ACCEPTCONN) == 1;
	if (part->state == SOCKET_PAIRED)
		part->is_shut = has_ended((int)record->fd);
	return part->state == SOCKET_DEAD || part->state == SOCKET_PAIRED;
}

static void save(const struct file_record *record, struct ledger_writer *writer)
{
	const struct socket_part *part = socket_part_of(record);
	char text[64];
	struct line line = line_in(text, sizeof(text));

	if (part->state != SOCKET_DEAD && !record->callers)
		said_save(record->ino, record->fd, writer);
	if (part->state == SOCKET_PAIRED && !record->callers)
		unix_save_queue((int)record->fd, part->type, part->is_shut, writer);
	if (has_lost_sight_of_file(part) && !record->callers)
		ledger_veto(writer, "a socket whose file is gone, or not to be found from here",
			    socket_path(part));
	if (part->state != SOCKET_UNKNOWN || record->callers)
		return;
	line_add(&line, "descriptor ");
	line_add_number(&line, record->fd, 10);
	line_add(&line, ", a socket of family ");
	line_add_number(&line, (uint64_t)part->family, 10);
	ledger_veto(writer, text, NULL);
}

const struct file_kind file_socket = {
	.claims = claims,
	.describe = describe,
	.refresh = refresh,
	.save = save,
	.check = socket_check,
	.make = socket_make,
	.finish = socket_finish,
};
