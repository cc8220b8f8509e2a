/*
 * Files: descriptors, described and opened again: regular files, directories, pipes and socketpairs
 * inside the process, eventfd, timerfd, signalfd, epoll, sockets, ttys, stateless device nodes.
 */
#pragma once

#include "keeper.h"
#include "line.h"
#include "say.h"
#include "ledger.h"

/* files_open() - before main, in every life: the note says what of 0-2 is the caller's, and whether
 * what is done with files is told on stderr. `pool` (kept by the caller) names the file beside
 * which output that is cut off is saved. */
void files_open(const char *pool, const struct keeper_note *note);

/* files_prepare() - while threads run: all descriptors are looked at. files_save() - while they
 * stand: those that changed since are looked at again; offsets, and contents of pipes. Both on the
 * committer's thread; our own descriptors (ours_fd_add()) are passed over. */
void files_prepare(void);
void files_save(struct ledger_writer *writer);

/* files_sync() - threads run again; on return what was written to files is on media, as
 * files_save() has seen them */
void files_sync(void);

/* files_check() - may they be opened again? (replaced, missing: status 5 and why.) Still in the
 * constructor, nothing is changed. files_make(): they are there, under their numbers; descriptors
 * of ours that stand in the way are moved, all others are closed. 0, or -errno and why
 * ("descriptor 5: /a/b: ..."). No libc; all signals blocked; limits and working directory are the
 * image's already. */
int files_check(const struct ledger_reader *state, struct refusal *ret_why);
int files_make(const struct ledger_reader *state, struct line *why);
/* files_give_owners() - when all threads are there: whom the signals of files are for */
void files_give_owners(const struct ledger_reader *state);

/* files_stderr() - where the caller reads us: 2 is the program's own, once files are made, and may
 * be its log. files_let_stderr_go(): all is said; before there are epochs, which would keep it. */
int files_stderr(void);
void files_let_stderr_go(void);
