/*
 * Options of a socket that a program may have set, read from one and given to another.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72
#endif

#define SOCKET_OPTION_MAX 64

struct socket_option_value {
	uint8_t len; /* 0: not to be had */
	uint8_t bytes[16];
};
struct socket_options {
	struct socket_option_value values[SOCKET_OPTION_MAX];
};

bool socket_options_have(int level, int name); /* it is one of those */
void socket_options_read(int fd, int family, int type, struct socket_options *ret_options);
/* Those that differ from what a fresh socket has; what is refused is left, and it says false. */
bool socket_options_write(int fd, int family, int type, const struct socket_options *options);
