/*
 * Cut: the instant an epoch is the image of, and how all threads come to stand still for it.
 *
 * Second face of this room, for those who stand where threads pass: the wrapped calls of libc and
 * the C API. DESIGN 2.2-2.4 is what it promises.
 *
 * A *section* is a transaction or the hold of a lock: no cut falls into it. A thread is *parked*
 * inside a call that may block, or while it waits for its first lock: a cut goes by without it, and
 * it meets the gate when it comes back. It is *annotated* from its first transaction on: outside
 * sections it may be stopped at once, while others get time to come to a better place.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CUT_HOLDS_MAX 24 /* locks one thread holds at once that are told apart */

/* A lock this thread holds. */
struct cut_hold {
	const void *lock;
	const void *site; /* where it was taken */
	uint64_t number;  /* of this hold, given once; 0: for life, no section any more */
};

/*
 * What one thread says of itself; the committer reads. Holds are numbered in their order, and stand
 * in it; so one word tells whether any of them counts: the thread is outside of sections if
 *
 *	tx_depth == 0 && newest <= lifelong
 *
 * `newest` is the thread's: the number of the newest lock it holds or is taking. `lifelong` is the
 * committer's: locks up to this number have been held for too long to be sections. Neither need
 * know when the other changes its own. Where there are more than CUT_HOLDS_MAX, those that do not
 * count are forgotten; if all do, the next ones are just counted, and held as long as the newest of
 * them. (A program may free a mutex that it holds, or have another thread give it back.)
 */
struct cut_thread {
	uint32_t state;    /* enum cut_state */
	uint32_t tid;      /* 0: the record is free */
	uint64_t newest;
	uint64_t number;   /* the last that was given */
	uint32_t tx_depth;
	uint32_t park_depth;
	uint32_t hold_count;
	uint32_t untold;   /* locks beyond CUT_HOLDS_MAX */
	uint32_t arrivals; /* times it parked or left a section: where it may be taken */
	uint32_t parks;    /* times it parked */
	bool is_annotated;
	bool waits_for_cut;
	const void *wanted; /* a lock it waits for inside a section */
	/* The committer's: */
	uint64_t lifelong __attribute__((aligned(64)));
	uint64_t oldest_seen; /* number of its oldest hold that counts, and since when */
	uint64_t oldest_since_ns;
	uint64_t moved_ns; /* when it was last seen to have come to where it may be taken */
	uint32_t seen_places;
	bool is_signalled;
	bool is_deadlocked; /* it waits for a cut that waits for its lock */
	struct cut_hold holds[CUT_HOLDS_MAX];
	/* Seldom looked at, and so not in the lines above: */
	uint64_t untold_newest; /* the thread's: number of the newest lock beyond CUT_HOLDS_MAX */
	uint64_t newest_seen;   /* the committer's: number of its newest hold at oldest_since_ns */
} __attribute__((aligned(64)));

enum cut_state { CUT_RUNNING, CUT_PARKED, CUT_STOPPED };

/* ---- For the program's threads ---- */

/* cut_is_on: threads must say what they do. False without epochs, and in forked children. */
extern bool cut_is_on;
extern _Thread_local struct cut_thread *cut_self __attribute__((tls_model("initial-exec")));

/* cut_thread() - this thread's record. Never NULL; any thread, also in a signal handler; but who
 * makes a child by vfork() has it before, for the child would make it under its own id. */
struct cut_thread *cut_thread_new(void);
static inline struct cut_thread *cut_thread(void)
{
	struct cut_thread *self = cut_self;
	return __builtin_expect(self != NULL, 1) ? self : cut_thread_new();
}

/* Around a call that may block: what the kernel writes into the caller's memory meanwhile belongs
 * to the next epoch. Nests. cut_unpark() does not return while threads are held.
 * cut_park_event(): an event wait; the locks held across it are lifelong from now on.
 * cut_park_for_cut(): a wait for a cut: the caller's locks do not count. Inside a section the other
 * two say nothing: no cut falls into it, whatever its thread waits for. */
void cut_park(void);
void cut_park_event(void);
void cut_park_for_cut(void);
void cut_unpark(void);

/* cut_is_deadlock() - of a thread in cut_park_for_cut(): no cut can be taken before it gives its
 * locks back; it must stop waiting */
bool cut_is_deadlock(void);

/* Around a handler of the program's signals, which may have come while the thread was parked: it is
 * not, as long as the handler runs. A handler that never comes back leaves it so. */
struct cut_interrupted {
	bool was_parked;
	uint32_t park_depth;
};
struct cut_interrupted cut_handler_enter(void);
void cut_handler_leave(struct cut_interrupted interrupted);

/* A transaction; nests. The thread is annotated from the first one on. */
void cut_tx_enter(void);
void cut_tx_leave(void);
unsigned cut_tx_depth(void);

/*
 * Locks. The way in, for a lock that may block:
 *	cut_lock_begin();                      a section has begun, unless threads are held
 *	try the lock; if it is busy:
 *	cut_lock_wait(lock); wait for it; cut_lock_woken(): false: threads are held, and it may be
 *	what others need to come to the end of their sections: give it back; cut_lock_again(), and
 *	try again. What cannot be given back is kept: cut_lock_again() returns in the section
 *	cut_lock_held(lock, site), or cut_lock_failed()
 * and out:
 *	give it back; cut_unlocked(lock)
 */
void cut_lock_begin(void);
void cut_lock_wait(const void *lock);
bool cut_lock_woken(void);
void cut_lock_again(void);
void cut_lock_held(const void *lock, const void *site);
void cut_lock_failed(void);
void cut_unlocked(const void *lock);

/* Around a wait for a condition: the thread does not hold the lock, and if no other counts, it is
 * parked. cut_cond_woken() returns with the lock being held again. */
struct cut_waiting {
	struct cut_hold hold; /* .lock NULL: it was not known to be held */
	bool is_parked;
};
void cut_cond_wait(const void *lock, struct cut_waiting *ret_waiting);
void cut_cond_woken(const struct cut_waiting *waiting);

/* cut_has_locks() - does it hold any lock, lifelong or not? */
static inline bool cut_has_locks(void)
{
	return cut_self && cut_self->hold_count != 0;
}

/* cut_is_in_section() - is the calling thread in one? */
bool cut_is_in_section(void);

/* ---- For whoever sets up ---- */

/* cut_open() - from now on threads say what they do. is_busy(pc): may a thread interrupted there
 * not be stopped now (it is in the allocator)? arm(): the committer is about to send the stop
 * signal; is its handler still ours? 0 or -errno. cut_close(): in a forked child. */
int cut_open(bool (*is_busy)(uintptr_t pc), void (*arm)(void));
void cut_close(void);

/* cut_handle() - the stop signal's handler calls it; false: the signal is somebody else's */
#define CUT_SIGNAL 33
bool cut_handle(const void *siginfo, uintptr_t pc);

/* ---- For the committer ---- */

struct cut_report {
	uint64_t closed_ns;
	uint64_t pause_ns;   /* from closing the gates to cut_release(), of a cut that came to be */
	unsigned forced;     /* threads stopped in user code where nothing said they may be */
	unsigned lifelong;   /* locks held for life, so far */
	char culprit[192];   /* given up: who, "" when nobody did */
};

/* cut_stop() - hold all threads but the caller. 0: they stand until cut_release();
 * CUT_E_GIVEN_UP: nobody is held, ret_report says why; CUT_E_DEADLOCK: a thread that waits for
 * the cut holds a lock another waits for in a section: wake who waits, for cut_is_deadlock() */
#define CUT_E_GIVEN_UP 1
#define CUT_E_DEADLOCK 2
int cut_stop(uint64_t interval_ns, struct cut_report *ret_report);
void cut_release(struct cut_report *report);

/* cut_name_lifelong() - the threads that hold locks for life now, and one such lock of each, as far
 * as the line reaches */
struct line;
void cut_name_lifelong(struct line *line);

/* cut_name_limit() - what a limit of the process did to a stop: a signal that could not be sent, a
 * list of threads that could not be made; 0 or -errno each. Adds nothing if neither was amiss */
void cut_name_limit(struct line *line, int send_error, int list_error);
