/*
 * The control page: what the owner tells the world while it runs, and what the world asks of it.
 *
 * In the pool file, MAP_SHARED, seqlocked, never part of an epoch. Nobody trusts it: a reader
 * tolerates garbage, and nothing about the heap depends on it.
 */
#pragma once

#include <stdbool.h>
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
	CONTROL_KEPT = 4,    /* keep=process: the owner's pid is that of its keeper */
	CONTROL_ENDED = 8,   /* keep=process: that it ends by itself is durable */
};

/* How keeping goes; all zeros while nothing is kept. */
struct control_status {
	uint64_t epoch;         /* newest durable; 0: none yet */
	uint64_t epoch_unix_ns; /* when its cut was; 0: before this run */
	uint64_t dirty_unix_ns; /* when something may have been stored after it; 0: nothing was */
	uint64_t oldest_epoch;
	enum control_state state;
	int error;              /* DEGRADED: the errno of it */
	enum durability durability;
	uint32_t tracker;       /* enum track_kind */
	uint64_t interval_ns;
	uint64_t log_bytes;
	struct control_counters counters;
	struct control_times pause, commit;
	uint32_t lifelong_locks;
	char lifelong[384];     /* who holds them, and where they were taken */
	char why[192];          /* why not OK, or who delays a cut; "": nothing to say */
};

/* ---- The owner ---- */

void control_enter_owner(struct control *control, const struct control_owner *owner,
			 enum keep keep);
/* The end, of which the time is noted: what was asked and not answered is answered with ESHUTDOWN.
 * Any thread. */
void control_leave_owner(struct control *control);
void control_set_flag(struct control *control, uint32_t flag);
/* Heap counters for `info`, stored by whoever grows the heap. */
void control_set_heap(struct control *control, uint64_t open_bytes);

/* control_publish() - the status of now; one thread at a time, the committer. As everything below:
 * no errno, no TLS, no libc but mem*. */
void control_publish(struct control *control, const struct control_status *status);

/* control_pending() - has an epoch been asked for that was not answered? *ret_request is then what
 * control_answer() takes, once an epoch cut *after* this call is durable (error 0) or has failed
 * (an errno, positive). All requests up to it are answered. */
bool control_pending(const struct control *control, uint32_t *ret_request);
void control_answer(struct control *control, uint32_t request, int error);

/* The doorbell: read it, look for work, and if there is none sleep until it rings, for at most
 * timeout_ns (UINT64_MAX: no limit). A ring since it was read is not missed. */
uint32_t control_doorbell(const struct control *control);
void control_sleep(struct control *control, uint32_t doorbell, uint64_t timeout_ns);
void control_ring(struct control *control);

/* control_take_outputs() - what the last run's keeper has noted, and it is forgotten. Bits of what
 * is known */
uint32_t control_take_outputs(struct control *control, uint64_t ret_bytes[3]);

/* ---- Everybody else ---- */

/* control_note_outputs() - the keeper, when its program is dead: how long its output was then */
void control_note_outputs(struct control *control, uint32_t known, const uint64_t bytes[3]);
/* control_note_end() - likewise: when that was; 0: nobody knows */
void control_note_end(struct control *control, uint64_t unix_ns);

struct control_snapshot {
	struct control_owner owner;
	uint32_t flags;
	enum keep keep;
	uint64_t open_bytes;
	uint64_t started_unix_ns;
	uint64_t alive_unix_ns; /* the owner's last sign of life; 0: none yet */
	uint64_t ended_unix_ns; /* 0: nobody has seen it end */
	struct control_status status;
};
/* control_read() - a consistent copy; -EAGAIN after 100 tries, -EINVAL for garbage */
int control_read(const struct control *control, struct control_snapshot *ret_snapshot);

/* control_request() - ask for an epoch of everything stored so far; the number of the request.
 * control_wait() - until it is answered: 0 when durable, -errno when it failed, -ETIMEDOUT. Whether
 * the owner still lives is the caller's to ask, between two waits. */
uint32_t control_request(struct control *control);
int control_wait(struct control *control, uint32_t request, uint64_t timeout_ns);
