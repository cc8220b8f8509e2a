/*
 * Process: which pages and which state of the kernel's make up a process, and how it comes back.
 * This room's face: enter.c hands process_memory to the committer. README.md explains.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "checkpoint/committer.h"
#include "ledger.h"
#include "say.h"
#include "window.h"

struct track;

struct process_plan {
	struct track *track;
	struct window *window;         /* of the heap */
	struct control *control;       /* of the pool */
	struct checkpoint *checkpoint;
	const char *pool;              /* its path, for messages */
	const struct keeper_note *note;
	const int *note_fd; /* where it is read, which may change */
};

extern const struct committer_memory process_memory;

/* process_is_kept: there is one, and it is this process. False in forked children. */
extern bool process_is_kept;

/* process_open() - in the constructor, before any thread. 0 or -errno */
int process_open(const struct process_plan *plan, int argc, char *const *argv, char *const *envp);
void process_forget(void); /* in a forked child */

/* ---- An image that is there ---- */

enum process_found { PROCESS_NONE, PROCESS_RUNNING, PROCESS_ENDED };
/* process_load() - what the selected epoch holds, and *ret_found; a status and why if it is
 * damaged */
int process_load(struct checkpoint *checkpoint, const char *pool, enum process_found *ret_found,
		 struct refusal *ret_why);
/* process_check() - may it come back, here and now? Nothing has changed yet */
int process_check(struct refusal *ret_why);
/* process_show_heap() - the window's ranges, as they were open. 0 or -errno */
int process_show_heap(void);
/* process_resume() - this process becomes the one that was kept; start() starts the committer.
 * Only what cannot be foreseen still ends it, with one line and 1. */
_Noreturn void process_resume(int (*start)(void));

/* process_say_resumed() - the line that says so, the last to whoever has started us, unless he
 * wants none; no libc, and before the committer starts */
void process_say_resumed(uint64_t epoch, const struct ending *ending);

/* ---- From the program's threads ---- */

/* process_life() - a number that this process alone has, of all that the program has been.
 * process_wait_for_life() - until it is another one; returns it */
uint32_t process_life(void);
uint32_t process_wait_for_life(uint32_t life);


/* Set by who is about to lock a file, or to lease one, and never taken back: else neither is looked
 * for. Likewise by who is about to say whom a file's signals are for. */
extern bool process_may_hold_locks, process_may_own_files;

/* process_take_error() - fsync() of this file has said that all is well, to the program: -errno, of
 * what was said to us instead, once; 0. Only if process_owes_errors */
extern bool process_owes_errors;
int process_take_error(int fd);

/* process_note_mapping() - what is mapped at [start, start + len), or what is in it, is something
 * else from now on; not of the heap. */
void process_note_mapping(const void *start, size_t len);
/* What madvise(), mlock(), mlockall() (0: munlockall) have done; in the caller's section of ours */
enum process_lock { PROCESS_UNLOCKED, PROCESS_LOCKED, PROCESS_LOCKED_ON_FAULT };
void process_note_advice(const void *start, size_t len, int advice);
void process_note_locked(const void *start, size_t len, enum process_lock lock);
void process_note_locked_all(int flags);
void process_note_sealed(const void *start, size_t len);
void process_note_read_only(const void *start, size_t len); /* the file was opened so */
/* what mbind() was told; count as it counts them */
void process_note_policy(const void *start, size_t len, int mode, const void *nodes,
			 uint64_t count);
/* process_note_option() - setsockopt() has been told so, in the same section of ours */
void process_note_option(int fd, int level, int name, const void *value, uint32_t len);
/* Nothing that was said of memory there holds any more; but what mmap()'s flags say does; but what
 * was said of where it has come from does (and there, too, if it has not left it) */
void process_note_unmapped(const void *start, size_t len);
void process_note_mapped(const void *start, size_t len, int flags);
void process_note_moved(const void *from, size_t from_len, const void *to, size_t len,
			bool is_left);
/* process_note_opened() - it can be written now: pages of a file may become the program's own */
void process_note_opened(const void *start, size_t len);
/* process_note_closing() - nobody may touch it any more: what was stored to is not looked for there
 * by all trackers. In a section of ours, with the call that closes it */
void process_note_closing(const void *start, size_t len);
/* Around a call that sends a signal to one thread, and around one that gives all threads other ids
 * (libc sends one to each): a cut must know when it falls into them (threads.c). */
void process_signal_begin(void);
void process_signal_end(void);
void process_ids_begin(void);
void process_ids_end(void);
/* process_note_told() - the calling thread has told the kernel something of itself (0: that is
 * always asked for; PROCESS_TOLD_USUAL: likewise, but of another thread, perhaps): the next cut
 * looks. process_note_unkept() - it has done what no next process
 * can be given (a constant text): from then on there is no epoch. Both with the call in one section
 * of ours. */
enum process_told { PROCESS_TOLD_SOME = 1, PROCESS_TOLD_RIGHTS = 2, PROCESS_TOLD_USUAL = 4 };
void process_note_told(enum process_told what);
void process_note_unkept(const char *what);
/* Around semop() and its like, if it says true; a lock taken with SEM_UNDO is given back by the
 * kernel when the process is killed. process_sem_undo_forget() - semctl() has set this one (-1: all
 * of the set), or removed them */
struct sembuf;
bool process_sem_undo_begin(const struct sembuf *operations, size_t count);
void process_sem_undo_end(int set, const struct sembuf *operations, size_t count,
			  bool is_done);
void process_sem_undo_forget(int set, int number);
/* process_fork_begin(), process_fork_end() - around a fork: a section of ours */
void process_fork_begin(void);
/* process_note_fork() - there will be a child that shares memory with us, however it is made */
void process_note_fork(void);
void process_fork_end(void);
/* process_find_child() - a child of the main thread's that has not ended; 0: there is none */
int process_find_child(void);
/* process_give_up() - after a last epoch none is made, for that reason; and nothing of ours makes a
 * system call any more, but getpid(), and in calls of the program's */
void process_give_up(const char *why);
extern bool process_is_given_up; /* of this process, or of the one it was forked from */
/* process_ended() - the last thing it does: the next run starts afresh. Waits for the epoch that
 * says so. */
void process_ended(int status);
