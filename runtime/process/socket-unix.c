/*
 * Who is whose peer only the kernel's socket monitor (sock_diag) says. What waits in a queue is
 * looked at without being taken, by MSG_PEEK with an offset that moves on (SO_PEEK_OFF). Messages
 * are kept one by one, streams in pieces. Descriptors on their way in a message cannot be kept:
 * a message that carries any says so, as it is given no room for them.
 */
#include "socket-unix.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "descriptor.h"
#include "os.h"
#include "ours.h"
#include "socket-options.h"

/* ---- peers ---- */

static int monitor OURS = -1;

static bool monitor_is_there(void)
{
	if (monitor >= 0 && ours_fd_has(monitor))
		return true;
	const int fd = os_socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	const int moved = fd < 0 ? fd : os_fd_move(fd);
	if (moved < 0) {
		if (fd >= 0)
			os_close(fd);
		return false;
	}
	monitor = moved;
	ours_fd_add(&monitor);
	return true;
}

struct attribute {
	uint16_t len, type;
	uint32_t value[2];
};

static void read_answer(const char *at, const char *end, struct unix_answer *ret_answer)
{
	struct attribute attribute;

	while (end - at >= 8) {
		memcpy(&attribute, at, end - at < (long)sizeof(attribute) ? 8 : sizeof(attribute));
		if (attribute.len < 4)
			return;
		if (attribute.type == UNIX_DIAG_PEER)
			ret_answer->peer_ino = attribute.value[0];
		if (attribute.type == UNIX_DIAG_RQLEN && attribute.len >= sizeof(attribute))
			ret_answer->backlog = attribute.value[1];
		at += (attribute.len + 3) & ~3;
	}
}

void unix_ask(uint64_t ino, struct unix_answer *ret_answer)
{
	static char bytes[2048] __attribute__((aligned(8))) OURS;
	const struct {
		struct nlmsghdr head;
		struct unix_diag_req question;
	} request = {
		{.nlmsg_len = sizeof(request), .nlmsg_type = SOCK_DIAG_BY_FAMILY,
		 .nlmsg_flags = NLM_F_REQUEST},
		{.sdiag_family = AF_UNIX, .udiag_states = ~0u, .udiag_ino = (uint32_t)ino,
		 .udiag_show = UDIAG_SHOW_PEER | UDIAG_SHOW_RQLEN, .udiag_cookie = {~0u, ~0u}},
	};
	const struct nlmsghdr *head = (const void *)bytes;

	*ret_answer = (struct unix_answer){0};
	if (!monitor_is_there() ||
	    os_sendto(monitor, &request, sizeof(request), MSG_DONTWAIT, NULL, 0) < 0)
		return;
	struct iovec piece = {bytes, sizeof(bytes)};
	struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
	const long len = os_recvmsg(monitor, &message, MSG_DONTWAIT);
	if (len >= (long)(sizeof(*head) + sizeof(struct unix_diag_msg)) &&
	    head->nlmsg_type == SOCK_DIAG_BY_FAMILY)
		read_answer(bytes + sizeof(*head) + sizeof(struct unix_diag_msg), bytes + len,
			    ret_answer);
}

/* ---- queues ---- */

/* LEDGER_SOCKET: a message, or a piece of a stream, that descriptor fd can read. */
struct socket_record {
	uint32_t fd;
	uint32_t len;
	char bytes[];
};
#define PIECE_BYTES 49152 /* of a stream; longer messages are a veto */
#define QUEUE_MAX (1u << 20)
#define MESSAGES_MAX 4096

static char piece_bytes[PIECE_BYTES] OURS;

enum peeked { PEEKED_END, PEEKED_PIECE, PEEKED_TOO_LONG, PEEKED_DESCRIPTORS };

static enum peeked peek(int fd, bool has_credentials, long *ret_len)
{
	char credentials[CMSG_SPACE(sizeof(struct ucred))];
	struct iovec piece = {piece_bytes, sizeof(piece_bytes)};
	struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};

	if (has_credentials) { /* they come first, and take all the room */
		message.msg_control = credentials;
		message.msg_controllen = sizeof(credentials);
	}
	const long len = os_recvmsg(fd, &message, MSG_PEEK | MSG_DONTWAIT);
	if (len < 0)
		return PEEKED_END;
	if (message.msg_flags & MSG_CTRUNC)
		return PEEKED_DESCRIPTORS;
	*ret_len = len;
	return message.msg_flags & MSG_TRUNC ? PEEKED_TOO_LONG : PEEKED_PIECE;
}

/* Nothing was read. That is the end of a stream; where messages have a sender that is gone, it is
 * the end or an empty one, and there is more if not all bytes were seen. */
static bool is_end(int type, bool is_shut, bool is_all)
{
	return type == SOCK_STREAM || (type == SOCK_SEQPACKET && is_shut && is_all);
}

static void save_pieces(int fd, int type, bool is_shut, uint64_t waiting,
			struct ledger_writer *writer)
{
	int has_credentials = 0;
	uint32_t has_len = sizeof(has_credentials);
	uint64_t total = 0;
	long len;

	os_getsockopt(fd, SOL_SOCKET, SO_PASSCRED, &has_credentials, &has_len);
	for (unsigned i = 0; i < MESSAGES_MAX && total < QUEUE_MAX; i++) {
		switch (peek(fd, has_credentials != 0, &len)) {
		case PEEKED_END: return;
		case PEEKED_DESCRIPTORS:
			ledger_veto(writer, "descriptors on their way through a socket", NULL);
			return;
		case PEEKED_TOO_LONG:
			ledger_veto(writer, "a message longer than is kept", NULL);
			return;
		case PEEKED_PIECE: break;
		}
		if (len == 0 && is_end(type, is_shut, total == waiting))
			return;
		struct socket_record *kept =
			ledger_put(writer, LEDGER_SOCKET, sizeof(*kept) + (size_t)len);
		kept->fd = (uint32_t)fd;
		kept->len = (uint32_t)len;
		memcpy(kept->bytes, piece_bytes, (size_t)len);
		total += (uint64_t)len;
	}
	ledger_veto(writer, "a socket with more in it than is kept", NULL);
}

void unix_save_queue(int fd, int type, bool is_shut, struct ledger_writer *writer)
{
	const int from_start = 0;
	int before = -1, waiting = 0;
	uint32_t len = sizeof(before);

	if (os_ioctl(fd, FIONREAD, &waiting) >= 0 && waiting == 0 && type == SOCK_STREAM)
		return; /* mostly empty, and that is told at once */
	if (os_getsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &before, &len) < 0 ||
	    os_setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &from_start, sizeof(from_start)) < 0) {
		ledger_veto(writer, "a socket whose queue cannot be looked at", NULL);
		return;
	}
	save_pieces(fd, type, is_shut, (uint64_t)waiting, writer);
	os_setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &before, sizeof(before));
}

static int send_all(int fd, int peer, const struct ledger_reader *state)
{
	struct ledger_reader reader = {.bytes = state->bytes, .len = state->len};
	const struct socket_record *kept;
	size_t len;

	while ((kept = ledger_next(&reader, LEDGER_SOCKET, &len))) {
		if (kept->fd != (uint32_t)fd)
			continue;
		const long sent = os_sendto(peer, kept->bytes, kept->len,
					    MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0);
		if (sent != (long)kept->len)
			return sent < 0 ? (int)sent : -EAGAIN;
	}
	return 0;
}

static void set_room(int fd, int bytes)
{
	if (os_setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) < 0)
		os_setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
}

/* How much goes in depends on the pieces it is sent in, and on what room its sender had made. The
 * kernel says twice what it is told, and notes that it was told. */
int unix_fill_queue(int fd, int peer, const struct ledger_reader *state)
{
	int room = 0, is_told = 0;
	uint32_t room_len = sizeof(room), told_len = sizeof(is_told);

	os_getsockopt(peer, SOL_SOCKET, SO_SNDBUF, &room, &room_len);
	os_getsockopt(peer, SOL_SOCKET, SO_BUF_LOCK, &is_told, &told_len);
	set_room(peer, QUEUE_MAX);
	const int error = send_all(fd, peer, state);
	set_room(peer, room / 2);
	os_setsockopt(peer, SOL_SOCKET, SO_BUF_LOCK, &is_told, sizeof(is_told));
	return error;
}
