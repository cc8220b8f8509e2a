/*
 * Cut: the instant an epoch is the image of, and how all threads come to stand still for it.
 *
 * Second face of this room, for those who stand where threads pass: the wrapped calls of libc and
 * the C API. DESIGN 2.2-2.4 is what it promises.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- For the program's threads ---- */

/* Around a call that may block: what the kernel writes into the caller's memory meanwhile belongs
 * to the next epoch. Nests. cut_unpark() does not return while threads are held. */
void cut_park(void);
void cut_unpark(void);

/* A transaction; nests. The thread is annotated from the first one on. */
void cut_tx_enter(void);
void cut_tx_leave(void);
unsigned cut_tx_depth(void);

/* ---- For the committer ---- */

struct cut_report {
	uint64_t pause_ns;   /* from closing the gates to cut_release(), of a cut that came to be */
	unsigned forced;     /* threads stopped in user code where nothing said they may be */
	unsigned lifelong;   /* locks held for life, so far */
	char culprit[192];   /* given up: who, "" when nobody did */
};

/* cut_stop() - hold all threads but the caller. 0: they stand until cut_release();
 * CUT_E_GIVEN_UP: nobody is held, ret_report says why; CUT_E_DEADLOCK: a thread that waits for the
 * cut (committer_checkpoint()) holds a lock another waits for inside a section: it must be told */
#define CUT_E_GIVEN_UP 1
#define CUT_E_DEADLOCK 2
int cut_stop(uint64_t interval_ns, struct cut_report *ret_report);
void cut_release(struct cut_report *report);
