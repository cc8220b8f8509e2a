/*
 * What is left of a time when a call is made again: see the header.
 */
#include "undisturbed.h"

#include <limits.h>
#include <poll.h>
#include <sys/socket.h>

static uint64_t now_ns(clockid_t clock)
{
	struct timespec now = {0, 0};

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

struct timeout timeout_begin(clockid_t clock, uint64_t ns)
{
	struct timeout timeout = {.clock = clock, .ns = ns, .end_ns = TIMEOUT_NEVER};

	if (ns != TIMEOUT_NEVER && ns != 0)
		timeout.end_ns = now_ns(clock) + ns;
	return timeout;
}

uint64_t timeout_left_ns(const struct timeout *timeout)
{
	const uint64_t now = now_ns(timeout->clock);
	const uint64_t left = timeout->end_ns > now ? timeout->end_ns - now : 0;
	return left < timeout->ns ? left : timeout->ns;
}

const struct timespec *timeout_left_time(struct timeout *timeout)
{
	const uint64_t ns = timeout_left_ns(timeout);

	timeout->left.tv_sec = (time_t)(ns / 1000000000);
	timeout->left.tv_nsec = (long)(ns % 1000000000);
	return &timeout->left;
}

int timeout_left_ms(const struct timeout *timeout)
{
	const uint64_t ms = (timeout_left_ns(timeout) + 999999) / 1000000;

	return ms < INT_MAX ? (int)ms : INT_MAX;
}

static bool is_connecting(int fd)
{
	struct sockaddr_storage peer;
	int domain = AF_UNIX;
	socklen_t len = sizeof(domain), peer_len = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain != AF_UNIX &&
	       getpeername(fd, (struct sockaddr *)&peer, &peer_len) != 0;
}

/* poll() is our own: undisturbed itself. */
bool undisturbed_socket(int fd, int option, uint64_t began_ns)
{
	struct timeval own = {0, 0};
	socklen_t len = sizeof(own);
	struct pollfd ready = {.fd = fd, .events = option == SO_RCVTIMEO ? POLLIN : POLLOUT};

	if (getsockopt(fd, SOL_SOCKET, option, &own, &len) != 0 ||
	    (own.tv_sec == 0 && own.tv_usec == 0))
		return true;
	struct timeout timeout = timeout_begin(CLOCK_MONOTONIC,
					       timeout_ns((uint64_t)own.tv_sec,
							  (uint64_t)own.tv_usec * 1000));
	timeout.end_ns = timeout.ns == TIMEOUT_NEVER ? TIMEOUT_NEVER : began_ns + timeout.ns;
	timeout.is_again = true;
	const int count = poll(&ready, 1, MS_LEFT(&timeout, -1));
	if (count == 0)
		errno = option == SO_SNDTIMEO && is_connecting(fd) ? EINPROGRESS : EAGAIN;
	return count > 0;
}
