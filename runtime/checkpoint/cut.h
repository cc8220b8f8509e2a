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
	bool is_lifelong; /* no section any more */
};

/* What one thread says of itself; the committer reads. `section` counts transactions and locks that
 * are not lifelong; a lock beyond CUT_HOLDS_MAX counts without being told apart. */
struct cut_thread {
	uint32_t state;    /* enum cut_state */
	uint32_t tid;      /* 0: the record is free */
	uint32_t section;
	uint32_t tx_depth;
	uint32_t park_depth;
	uint32_t hold_count;
	uint32_t arrivals; /* times it parked or left a section: where it may be taken */
	bool is_annotated;
	bool waits_for_cut;
	const void *wanted; /* a lock it waits for inside a section */
	/* The committer's: */
	uint32_t seen_arrivals;
	uint32_t lifelong_arrivals; /* its section of then lasts for ever; 0: none */
	uint64_t section_since_ns;
	bool is_looked_at, is_signalled;
	struct cut_hold holds[CUT_HOLDS_MAX];
} __attribute__((aligned(64)));

enum cut_state { CUT_RUNNING, CUT_PARKED, CUT_STOPPED };

/* ---- For the program's threads ---- */

/* cut_is_on: threads must say what they do. False without epochs, and in forked children. */
extern bool cut_is_on;
extern _Thread_local struct cut_thread *cut_self __attribute__((tls_model("initial-exec")));

/* cut_thread() - this thread's record. Never NULL; any thread, also in a signal handler. */
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
 *	try again
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

/* Around a wait for a condition: with no lock held but this one the thread leaves its section and
 * is parked. cut_cond_woken() returns in the section again, the lock being held. */
bool cut_cond_wait(const void *lock);
void cut_cond_woken(bool was_left);

/* cut_has_locks() - does it hold any lock, lifelong or not? */
static inline bool cut_has_locks(void)
{
	return cut_self && cut_self->hold_count != 0;
}

/* ---- For whoever sets up ---- */

/* cut_open() - from now on threads say what they do. is_busy(pc): may a thread interrupted there
 * not be stopped now (it is in the allocator)? 0 or -errno. cut_close(): in a forked child. */
int cut_open(bool (*is_busy)(uintptr_t pc));
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
 * CUT_E_GIVEN_UP: nobody is held, ret_report says why; CUT_E_DEADLOCK: a thread that waits for the
 * cut (committer_checkpoint()) holds a lock another waits for inside a section: it must be told */
#define CUT_E_GIVEN_UP 1
#define CUT_E_DEADLOCK 2
int cut_stop(uint64_t interval_ns, struct cut_report *ret_report);
void cut_release(struct cut_report *report);
