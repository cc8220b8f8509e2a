/*
 * Threads: stopped where they stand, described, and made again.
 *
 * Stop signal 33 (SIGSETXID, which libc never lets a program block), sent by rt_tgsigqueueinfo with
 * SI_QUEUE and a mark. The handler's frame is the register save area; in the handler the thread
 * notes the rest (fs, robust list, tid address, rseq, name, pending signals) and waits. To be made
 * again is to be cloned with the same tid and to jump into that handler's frame, which returns.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ledger.h"

/* threads_open() - the handler is installed; signals that are not ours go on to libc's. 0 or
 * -errno */
int threads_open(void);

/* For the committer. threads_stop(): all threads of the process but the caller stand, in no system
 * call, until threads_release(). Nobody is held if it fails: -EAGAIN, and who did not come (tid,
 * name, what it waits in) in `why`. */
int threads_stop(uint64_t patience_ns, char why[192]);
void threads_release(void);
/* while they stand; the committer is told apart by its tid */
void threads_save(struct ledger_writer *writer);

/* For a resume, on the main thread, on a stack of the zone, no libc. threads_check(): can they be
 * made (exact tids)? threads_make(): all others exist, and wait in their handlers.
 * threads_go(): all go on; the calling thread becomes the main thread of the image. */
int threads_check(const struct ledger_reader *state, bool has_exact_tids, char why[192]);
int threads_make(const struct ledger_reader *state);
_Noreturn void threads_go(void);
