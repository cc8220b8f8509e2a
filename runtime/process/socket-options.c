/*
 * One table of them. An option is given to a new socket only if it has another value there, so
 * that what the kernel computes (buffer sizes that grow by themselves) stays computed, and a
 * privilege the program once had is not needed for what nobody set.
 */
#include "socket-options.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "descriptor.h"

#ifndef IPV6_FREEBIND
#define IPV6_FREEBIND 78
#endif
#define SNDBUF_LOCK 1
#define RCVBUF_LOCK 2

enum whose { ANY, TCP, INET, INET4, INET6 };

/* Numbers of places are on media: only appended to. */
static const struct {
	uint8_t whose;
	int level, name;
} options[] = {
	{ANY, SOL_SOCKET, SO_REUSEADDR},
	{ANY, SOL_SOCKET, SO_REUSEPORT},
	{ANY, SOL_SOCKET, SO_BUF_LOCK},
	{ANY, SOL_SOCKET, SO_SNDBUF},
	{ANY, SOL_SOCKET, SO_RCVBUF},
	{ANY, SOL_SOCKET, SO_KEEPALIVE},
	{ANY, SOL_SOCKET, SO_BROADCAST},
	{ANY, SOL_SOCKET, SO_OOBINLINE},
	{ANY, SOL_SOCKET, SO_LINGER},
	{ANY, SOL_SOCKET, SO_RCVTIMEO},
	{ANY, SOL_SOCKET, SO_SNDTIMEO},
	{ANY, SOL_SOCKET, SO_RCVLOWAT},
	{ANY, SOL_SOCKET, SO_PASSCRED},
	{ANY, SOL_SOCKET, SO_TIMESTAMP},
	{ANY, SOL_SOCKET, SO_PRIORITY},
	{ANY, SOL_SOCKET, SO_MARK},
	{ANY, SOL_SOCKET, SO_DONTROUTE},
	{ANY, SOL_SOCKET, SO_BINDTODEVICE},
	{TCP, IPPROTO_TCP, TCP_NODELAY},
	{TCP, IPPROTO_TCP, TCP_CORK},
	{TCP, IPPROTO_TCP, TCP_KEEPIDLE},
	{TCP, IPPROTO_TCP, TCP_KEEPINTVL},
	{TCP, IPPROTO_TCP, TCP_KEEPCNT},
	{TCP, IPPROTO_TCP, TCP_DEFER_ACCEPT},
	{TCP, IPPROTO_TCP, TCP_USER_TIMEOUT},
	{TCP, IPPROTO_TCP, TCP_FASTOPEN},
	{INET, IPPROTO_IP, IP_TOS},
	{INET, IPPROTO_IP, IP_TTL},
	{INET4, IPPROTO_IP, IP_PKTINFO},
	{INET4, IPPROTO_IP, IP_RECVERR},
	{INET4, IPPROTO_IP, IP_FREEBIND},
	{INET4, IPPROTO_IP, IP_MULTICAST_TTL},
	{INET4, IPPROTO_IP, IP_MULTICAST_LOOP},
	{INET6, IPPROTO_IPV6, IPV6_V6ONLY},
	{INET6, IPPROTO_IPV6, IPV6_RECVPKTINFO},
	{INET6, IPPROTO_IPV6, IPV6_RECVERR},
	{INET6, IPPROTO_IPV6, IPV6_UNICAST_HOPS},
	{ANY, SOL_SOCKET, SO_TIMESTAMPNS},
	{ANY, SOL_SOCKET, SO_PASSSEC},
	{TCP, IPPROTO_TCP, TCP_CONGESTION},
	{TCP, IPPROTO_TCP, TCP_SYNCNT},
	{TCP, IPPROTO_TCP, TCP_NOTSENT_LOWAT},
	{INET4, IPPROTO_IP, IP_TRANSPARENT},
	{INET4, IPPROTO_IP, IP_MTU_DISCOVER},
	{INET4, IPPROTO_IP, IP_RECVTOS},
	{INET4, IPPROTO_IP, IP_RECVTTL},
	{INET6, IPPROTO_IPV6, IPV6_TRANSPARENT},
	{INET6, IPPROTO_IPV6, IPV6_FREEBIND},
	{INET6, IPPROTO_IPV6, IPV6_TCLASS},
	{INET6, IPPROTO_IPV6, IPV6_RECVTCLASS},
	{INET6, IPPROTO_IPV6, IPV6_RECVHOPLIMIT},
	{INET6, IPPROTO_IPV6, IPV6_MTU_DISCOVER},
	{INET6, IPPROTO_IPV6, IPV6_MULTICAST_HOPS},
	{INET6, IPPROTO_IPV6, IPV6_MULTICAST_LOOP},
	{INET6, IPPROTO_IPV6, IPV6_MULTICAST_IF},
};
#define OPTIONS (sizeof(options) / sizeof(*options))
_Static_assert(OPTIONS <= SOCKET_OPTION_MAX, "options on media");

bool socket_options_have(int level, int name)
{
	for (unsigned i = 0; i < OPTIONS; i++)
		if (options[i].level == level && options[i].name == name)
			return true;
	return false;
}

static int applies(unsigned i, int family, int type)
{
	const int is_inet = family == AF_INET || family == AF_INET6;

	switch (options[i].whose) {
	case TCP: return is_inet && type == SOCK_STREAM;
	case INET: return is_inet;
	case INET4: return family == AF_INET;
	case INET6: return family == AF_INET6;
	default: return 1;
	}
}

static void read_one(int fd, unsigned i, struct socket_option_value *value)
{
	uint32_t len = sizeof(value->bytes);

	memset(value, 0, sizeof(*value));
	if (os_getsockopt(fd, options[i].level, options[i].name, value->bytes, &len) >= 0)
		value->len = (uint8_t)len;
}

void socket_options_read(int fd, int family, int type, struct socket_options *ret_options)
{
	for (unsigned i = 0; i < OPTIONS; i++)
		if (applies(i, family, type))
			read_one(fd, i, &ret_options->values[i]);
}

/* The kernel doubles what it is given, and says so; sizes nobody has set are its own affair. */
static bool write_sizes(int fd, const struct socket_options *wanted)
{
	bool is_whole = true;
	int lock = 0, size;

	for (unsigned i = 0; i < OPTIONS; i++) {
		const struct socket_option_value *value = &wanted->values[i];
		if (options[i].level != SOL_SOCKET || value->len < sizeof(int))
			continue;
		memcpy(&size, value->bytes, sizeof(size));
		if (options[i].name == SO_BUF_LOCK) {
			lock = size;
			continue;
		}
		if ((options[i].name == SO_SNDBUF && (lock & SNDBUF_LOCK)) ||
		    (options[i].name == SO_RCVBUF && (lock & RCVBUF_LOCK))) {
			size /= 2;
			is_whole &= os_setsockopt(fd, SOL_SOCKET, options[i].name, &size,
						  sizeof(size)) >= 0;
		}
	}
	return is_whole;
}

bool socket_options_write(int fd, int family, int type, const struct socket_options *wanted)
{
	struct socket_option_value now;
	bool is_whole = true;

	for (unsigned i = 0; i < OPTIONS; i++) {
		const struct socket_option_value *value = &wanted->values[i];
		const int name = options[i].name;
		const int is_size = options[i].level == SOL_SOCKET &&
				    (name == SO_BUF_LOCK || name == SO_SNDBUF || name == SO_RCVBUF);
		if (!value->len || is_size || !applies(i, family, type))
			continue;
		read_one(fd, i, &now);
		if (now.len != value->len || memcmp(now.bytes, value->bytes, value->len) != 0)
			is_whole &= os_setsockopt(fd, options[i].level, name, value->bytes,
						  value->len) >= 0;
	}
	return write_sizes(fd, wanted) && is_whole;
}
