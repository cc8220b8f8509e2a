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

#include "line.h"
#include "ledger.h"

/* threads_open() - the handler is installed; signals that are not ours go on to libc's. 0 or
 * -errno */
int threads_open(void);

/* threads_forget() - in a forked child: the stop signal is libc's again */
void threads_forget(void);

/* For the committer. threads_stop(): all threads of the process but the caller stand, in no system
 * call, until threads_release(). Nobody is held if it fails: -EAGAIN, and who did not come (tid,
 * name, what it waits in) in `why`. */
int threads_stop(uint64_t patience_ns, char why[192]);
void threads_release(void);
/* while they stand; the committer is told apart by its tid */
void threads_save(struct ledger_writer *writer);

/* For a resume, on the main thread, no libc.
 * threads_check(): can they be made? 0; or -errno and why; 0 with a text in `why` is a warning: ids
 * of threads will be others (it says what that breaks). Nothing is changed yet.
 * threads_strip(): before any mapping goes: the kernel forgets what libc of the new process has
 * told it of this thread (rseq, robust list); all signals are blocked.
 * threads_make(): memory and handlers are those of the image, fs is not yet: all other threads
 * exist, and wait in their handlers. 0, or -errno and why. On a stack of the zone.
 * threads_go(): all go on; the calling thread becomes the main thread of the image. */
int threads_check(const struct ledger_reader *state, bool has_exact_tids, char why[192]);
void threads_strip(void);
int threads_make(const struct ledger_reader *state, struct line *why);
_Noreturn void threads_go(void);
