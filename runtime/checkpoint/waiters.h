/* Waiters: threads that want an epoch of everything stored so far. Room-private. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* ---- Who waits ---- */

uint32_t waiters_draw(void); /* a ticket: from now on it is asked for */
/* waiters_wait() - how the first attempt ended whose cut came after the ticket was drawn; -EDEADLK:
 * there can be none (cut_is_deadlock()); -ETIMEDOUT. timeout_ms < 0: no limit */
int waiters_wait(uint32_t ticket, int timeout_ms);

/* ---- The committer ---- */

bool waiters_are_there(void);
uint32_t waiters_newest(void); /* all threads stand: who this cut serves */
void waiters_settle(uint32_t ticket, int error); /* all of them, up to this one */
void waiters_ring(void);                         /* look whether you must stop waiting */
