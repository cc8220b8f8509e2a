/*
 * The control page: what the owner tells the world while it runs, and what the world asks of it.
 *
 * In the pool file, MAP_SHARED, seqlocked, never part of an epoch. Nobody trusts it: a reader
 * tolerates garbage, and nothing about the heap depends on it.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "config.h"
#include "layout.h"

/* Who owns the pool: enough to name a living holder and to know a dead one. */
struct control_owner {
	pid_t pid;
	uint64_t start_ticks; /* field 22 of /proc/PID/stat: tells a reused pid */
	char program[64];
};

enum control_flags {
	CONTROL_RUNNING = 1, /* an owner is attached (or died attached) */
	CONTROL_PRIVATE = 2, /* keep=none: the first fork has made the heap private */
};

void control_enter_owner(struct control *control, const struct control_owner *owner,
			 enum keep keep);
void control_leave_owner(struct control *control);
void control_set_flag(struct control *control, uint32_t flag);
/* Heap counters for `info`, stored by whoever grows the heap. */
void control_set_heap(struct control *control, uint64_t open_bytes);

struct control_snapshot {
	struct control_owner owner;
	uint32_t flags;
	uint64_t open_bytes;
	uint64_t started_unix_ns;
};
/* control_read() - a consistent copy; -EAGAIN after 100 tries, -EINVAL for garbage */
int control_read(const struct control *control, struct control_snapshot *ret_snapshot);
