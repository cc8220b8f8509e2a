/*
 * What a socket is in the ledger: files-socket.c describes it, files-socket-make.c makes it again.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/un.h>

#include "descriptor.h"
#include "files-kind.h"
#include "socket-options.h"

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
	uint32_t file_uid, file_gid;
	uint32_t name_len;
	uint32_t peer_len; /* 0: none, or of no use */
	uint32_t peer_ino; /* PAIRED */
	uint32_t is_shut;  /* PAIRED: nothing more will come */
	uint32_t options_age; /* said_age() when they were read */
	uint32_t reserved;
	char name[sizeof(struct sockaddr_storage)];
	char peer[sizeof(struct sockaddr_storage)];
	struct socket_options options;
};

static inline struct socket_part *socket_part_of(const struct file_record *record)
{
	return (struct socket_part *)(uintptr_t)record->part;
}

static inline int socket_option(int fd, int level, int name)
{
	int value = -1;
	uint32_t len = sizeof(value);

	return os_getsockopt(fd, level, name, &value, &len) < 0 ? -1 : value;
}

static inline bool socket_is_tcp(const struct socket_part *part)
{
	return (part->family == AF_INET || part->family == AF_INET6) && part->type == SOCK_STREAM;
}

/* The path of a unix socket that has one. */
static inline const char *socket_path(const struct socket_part *part)
{
	const struct sockaddr_un *un = (const void *)part->name;

	return part->family == AF_UNIX && part->name_len > sizeof(un->sun_family) &&
	       un->sun_path[0] ? un->sun_path : NULL;
}

int socket_check(const struct file_record *record, const struct ledger_reader *state,
		 struct refusal *ret_why);
int socket_make(const struct file_record *record, const struct ledger_reader *state,
		struct line *why);
int socket_finish(const struct file_record *record, const struct ledger_reader *state,
		  struct line *why);
