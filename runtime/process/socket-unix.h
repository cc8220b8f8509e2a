/*
 * Unix sockets: which other one is a socket's peer, what waits to be read, and a pair made again.
 */
#pragma once

#include <stdint.h>

#include "ledger.h"

/* unix_ask() - the inode of a socket's peer, and a listener's backlog; 0 where there is none */
struct unix_answer {
	uint32_t peer_ino;
	uint32_t backlog;
};
void unix_ask(uint64_t ino, struct unix_answer *ret_answer);

/* unix_save_queue() - LEDGER_SOCKET records of what can be read from fd; it stays there. Or a veto.
 * `is_shut`: after that nothing comes any more.
 * unix_fill_queue() - the same, sent through `peer`. 0 or -errno */
void unix_save_queue(int fd, int type, bool is_shut, struct ledger_writer *writer);
int unix_fill_queue(int fd, int peer, const struct ledger_reader *state);
