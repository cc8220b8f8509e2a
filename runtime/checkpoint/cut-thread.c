/*
 * The threads' side of the gate.
 *
 * The problem: each of them must say where it stands, at every lock and every call that may block,
 * for a few nanoseconds, and must not run on unseen while it is believed to stand. The trick: plain
 * stores to a record of its own, then a look at the gate; the fence between the two that this
 * wants is the committer's membarrier(), which costs nothing here. The guarantee: a thread that the
 * committer saw parked after closing the gates stores to nothing until they are open again.
 *
 * Nothing here touches errno, and all of it may run in a signal handler.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "cut-gate.h"
#include "os.h"

#define barrier() __asm__ volatile("" ::: "memory")

static uint32_t gate_now(void)
{
	return __atomic_load_n(&cut_shared.gate, __ATOMIC_ACQUIRE);
}

/* ---- The gate ---- */

/* A child made behind our back has the gates as they were, and nobody who opens them. One of
 * vfork() is another matter: all of this is its parent's, whose thread stands still meanwhile, and
 * for which it passes. */
static __attribute__((noinline, cold)) bool is_in_child(void)
{
	if (*cut_shared.here)
		return false;
	cut_close();
	return true;
}

static __attribute__((noinline)) void gate_wait_parked(void)
{
	for (uint32_t gate = gate_now(); gate != CUT_OPEN && !is_in_child(); gate = gate_now())
		os_futex_wait(&cut_shared.gate, gate, NULL);
}

static __attribute__((noinline)) void gate_wait(struct cut_thread *self, enum cut_state state)
{
	do {
		cut_state_set(self, state);
		gate_wait_parked();
		cut_state_set(self, CUT_RUNNING);
		barrier(); /* running is said before the gate is looked at */
	} while (gate_now() != CUT_OPEN);
}

static inline bool is_closed(void)
{
	return __builtin_expect(gate_now() != CUT_OPEN, 0);
}

/* ---- Holds ---- */

static __attribute__((noinline, cold)) uint64_t newest_untold(const struct cut_thread *self)
{
	const uint64_t told = self->hold_count ? self->holds[self->hold_count - 1].number : 0;

	return self->untold_newest > told ? self->untold_newest : told;
}

/* The number of the newest lock that is held, not of one that is being taken. */
static inline uint64_t newest_held(const struct cut_thread *self)
{
	if (__builtin_expect(self->untold != 0, 0))
		return newest_untold(self);
	return self->hold_count ? self->holds[self->hold_count - 1].number : 0;
}

static inline __attribute__((always_inline)) void hold_forget(struct cut_thread *self, uint32_t i)
{
	for (i++; i < self->hold_count; i++)
		self->holds[i - 1] = self->holds[i];
	self->hold_count--;
}

/* One that does not count any more makes room. */
static __attribute__((noinline, cold)) bool hold_make_room(struct cut_thread *self)
{
	for (uint32_t i = 0; i < self->hold_count; i++)
		if (self->holds[i].number <= __atomic_load_n(&self->lifelong, __ATOMIC_RELAXED)) {
			hold_forget(self, i);
			return true;
		}
	self->untold++;
	self->untold_newest = self->number;
	return false;
}

static inline void hold_add(struct cut_thread *self, const void *lock, const void *site)
{
	self->newest = self->number;
	if (__builtin_expect(self->hold_count == CUT_HOLDS_MAX, 0) && !hold_make_room(self))
		return;
	self->holds[self->hold_count] = (struct cut_hold){lock, site, self->number};
	barrier(); /* the committer looks at what is counted */
	self->hold_count++;
}

/* The newest hold of this lock, out of the list. */
static inline bool hold_remove(struct cut_thread *self, const void *lock, struct cut_hold *ret_hold)
{
	uint32_t i = self->hold_count;

	while (i != 0 && self->holds[i - 1].lock != lock)
		i--;
	if (__builtin_expect(i == 0, 0))
		return false;
	*ret_hold = self->holds[i - 1];
	hold_forget(self, i - 1);
	return true;
}

/* ---- Parking ---- */

/* While the gates are closed it goes no further: the stop signal may be on its way, and would end
 * some calls early. Whoever parks when they are open is not sent one. */
static void park(struct cut_thread *self)
{
	if (self->park_depth++ != 0)
		return;
	const bool is_outside = cut_is_outside(self);
	self->arrivals += is_outside;
	self->parks += is_outside;
	cut_state_set(self, CUT_PARKED);
	barrier(); /* parked is said before the gate is looked at */
	if (is_outside && is_closed())
		gate_wait_parked();
}

void cut_park(void)
{
	if (cut_is_on)
		park(cut_thread());
}

/* In the middle of a section it was not taken, and others wait for it to come to its end. */
static void run_again(struct cut_thread *self)
{
	cut_state_set(self, CUT_RUNNING);
	barrier();
	if (is_closed() && (self->waits_for_cut || cut_is_outside(self)))
		gate_wait(self, CUT_PARKED);
}

void cut_unpark(void)
{
	struct cut_thread *self = cut_self;

	if (!cut_is_on || !self || self->park_depth == 0 || --self->park_depth != 0)
		return;
	run_again(self);
	self->waits_for_cut = false;
}

void cut_park_for_cut(void)
{
	if (!cut_is_on)
		return;
	struct cut_thread *self = cut_thread();
	self->is_deadlocked = false;
	self->waits_for_cut = true;
	park(self);
}

bool cut_is_deadlock(void)
{
	return cut_self && __atomic_load_n(&cut_self->is_deadlocked, __ATOMIC_ACQUIRE);
}

void cut_park_event(void)
{
	if (!cut_is_on)
		return;
	struct cut_thread *self = cut_thread();
	for (uint32_t i = 0; i < self->hold_count && self->tx_depth == 0; i++) {
		if (self->holds[i].number > self->lifelong)
			__atomic_fetch_add(&cut_shared.lifelong, 1, __ATOMIC_RELAXED);
		self->holds[i].number = 0;
	}
	if (self->tx_depth == 0)
		self->untold_newest = 0;
	self->newest = newest_held(self);
	park(self);
}

/* ---- Handlers of the program's ---- */

struct cut_interrupted cut_handler_enter(void)
{
	struct cut_thread *self = cut_self;

	if (!cut_is_on || !self || self->state != CUT_PARKED)
		return (struct cut_interrupted){.was_parked = false};
	const struct cut_interrupted interrupted = {true, self->park_depth};
	self->park_depth = 0;
	run_again(self);
	return interrupted;
}

void cut_handler_leave(struct cut_interrupted interrupted)
{
	if (!interrupted.was_parked)
		return;
	cut_self->park_depth = interrupted.park_depth;
	cut_state_set(cut_self, CUT_PARKED);
}

/* ---- Transactions ---- */

static inline void section_left(struct cut_thread *self, bool is_tx_end)
{
	if (!cut_is_outside(self))
		return;
	self->arrivals++;
	barrier(); /* out of the section before the gate is looked at */
	if (is_closed() && (is_tx_end || self->is_annotated || gate_now() >= CUT_AT_LOCK_ENDS))
		gate_wait(self, CUT_PARKED);
}

void cut_tx_enter(void)
{
	if (!cut_is_on)
		return;
	struct cut_thread *self = cut_thread();
	self->is_annotated = true;
	const bool is_first = cut_is_outside(self);
	self->tx_depth++;
	barrier(); /* in the section before the gate is looked at */
	while (is_first && is_closed()) {
		self->tx_depth--; /* nothing of it has happened yet */
		gate_wait(self, CUT_PARKED);
		self->tx_depth++;
		barrier();
	}
}

void cut_tx_leave(void)
{
	struct cut_thread *self = cut_self;

	if (!cut_is_on || !self || self->tx_depth == 0)
		return;
	barrier(); /* the program's stores before its end */
	if (--self->tx_depth == 0)
		section_left(self, true);
}

unsigned cut_tx_depth(void)
{
	return cut_self ? cut_self->tx_depth : 0;
}

bool cut_is_in_section(void)
{
	return cut_self && !cut_is_outside(cut_self);
}

/* ---- Locks ---- */

/* Where the thread was parked, a handler is taking this lock. */
static inline bool is_held_at_entry(const struct cut_thread *self)
{
	return is_closed() && (self->is_annotated || self->state != CUT_RUNNING);
}

void cut_lock_begin(void)
{
	struct cut_thread *self = cut_thread();
	const bool is_first = cut_is_outside(self);

	self->newest = ++self->number;
	barrier(); /* in the section before the gate is looked at */
	while (__builtin_expect(is_held_at_entry(self) && is_first, 0)) {
		self->newest = newest_held(self);
		cut_lock_again();
	}
}

/* For its first lock it waits parked, outside; for a further one inside the section. */
void cut_lock_wait(const void *lock)
{
	struct cut_thread *self = cut_self;
	const uint64_t newest = self->newest;

	self->newest = newest_held(self);
	if (cut_is_outside(self)) {
		park(self);
		return;
	}
	self->newest = newest;
	__atomic_store_n(&self->wanted, lock, __ATOMIC_RELEASE);
}

bool cut_lock_woken(void)
{
	struct cut_thread *self = cut_self;

	if (self->wanted) {
		__atomic_store_n(&self->wanted, NULL, __ATOMIC_RELAXED);
		return true;
	}
	self->park_depth--;
	self->newest = self->number;
	cut_state_set(self, CUT_RUNNING);
	barrier();
	if (!is_closed())
		return true;
	self->newest = newest_held(self);
	cut_state_set(self, CUT_PARKED);
	return false;
}

void cut_lock_again(void)
{
	struct cut_thread *self = cut_self;

	gate_wait(self, CUT_PARKED);
	self->newest = ++self->number;
	barrier();
}

void cut_lock_held(const void *lock, const void *site)
{
	hold_add(cut_self, lock, site);
}

void cut_lock_failed(void)
{
	cut_self->newest = newest_held(cut_self);
	section_left(cut_self, false);
}

void cut_unlocked(const void *lock)
{
	struct cut_thread *self = cut_thread();
	struct cut_hold hold;

	barrier(); /* the program's stores before the section's end */
	if (!hold_remove(self, lock, &hold)) {
		if (self->untold == 0)
			return; /* somebody else took it */
		self->untold--;
	}
	self->newest = newest_held(self);
	section_left(self, false);
}

void cut_cond_wait(const void *lock, struct cut_waiting *ret_waiting)
{
	struct cut_thread *self = cut_thread();

	*ret_waiting = (struct cut_waiting){.is_parked = false};
	if (!hold_remove(self, lock, &ret_waiting->hold))
		return;
	self->newest = newest_held(self);
	ret_waiting->is_parked = cut_is_outside(self);
	if (ret_waiting->is_parked)
		park(self);
}

/* At the gate it holds the lock, but has changed nothing yet. */
void cut_cond_woken(const struct cut_waiting *waiting)
{
	if (!waiting->hold.lock)
		return;
	if (waiting->is_parked)
		cut_unpark();
	cut_self->number++;
	hold_add(cut_self, waiting->hold.lock, waiting->hold.site);
	barrier();
}

/* ---- Being stopped ---- */

bool cut_handle(const void *siginfo, uintptr_t pc)
{
	const struct { int signo, error, code, pad, pid, uid; void *value; } *info = siginfo;

	if (info->code != -1 /* SI_QUEUE */ || info->value != CUT_MAGIC)
		return false;
	if (!cut_is_on || gate_now() == CUT_OPEN)
		return true;
	struct cut_thread *self = cut_thread();
	/* Between the look at it and now it has parked, entered a section, or the allocator. */
	if (self->state == CUT_RUNNING && cut_is_outside(self) &&
	    !(cut_shared.is_busy && cut_shared.is_busy(pc)))
		gate_wait(self, CUT_STOPPED);
	return true;
}
