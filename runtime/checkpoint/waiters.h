/* Waiters: threads that want an epoch of everything stored so far. Room-private. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* ---- Who waits ---- */

/* A ticket is of one process's life: keep=process brings back who waits with one of an earlier
 * life, and what it waited for is what it came back from. */
struct ticket {
	uint32_t number;
	uint32_t life;
};
struct ticket waiters_draw(void); /* from now on an epoch is asked for */
/* waiters_wait() - how the first attempt ended whose cut came after the ticket was drawn; -EDEADLK:
 * there can be none (cut_is_deadlock()); -ESHUTDOWN: there will be none; -ETIMEDOUT.
 * timeout_ms < 0: no limit */
int waiters_wait(struct ticket ticket, int timeout_ms);

/* ---- The committer ---- */

void waiters_open(void);
bool waiters_are_there(void);
uint32_t waiters_newest(void); /* all threads stand: who this cut serves */
void waiters_settle(uint32_t ticket, int error); /* all of them, up to this one */
void waiters_shut(void); /* no epoch comes any more: all of them, and who asks from now on */
void waiters_ring(void);                         /* look whether you must stop waiting */
