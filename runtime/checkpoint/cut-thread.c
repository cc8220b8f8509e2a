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
#include <sys/mman.h>

#include "cut-gate.h"
#include "os.h"

#define barrier() __asm__ volatile("" ::: "memory")

bool cut_is_on;
_Thread_local struct cut_thread *cut_self __attribute__((tls_model("initial-exec")));
struct cut_shared cut_shared;

static uint32_t gate_now(void)
{
	return __atomic_load_n(&cut_shared.gate, __ATOMIC_ACQUIRE);
}

static void state_set(struct cut_thread *self, enum cut_state state)
{
	/* What it stored before is seen by whoever sees it parked. */
	__atomic_store_n(&self->state, state, __ATOMIC_RELEASE);
}

int cut_open(bool (*is_busy)(uintptr_t pc))
{
	void *memory = os_mmap(NULL, CUT_THREADS_MAX * sizeof(struct cut_thread),
			       PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			       -1, 0);

	if (os_is_error(memory))
		return -ENOMEM;
	cut_shared = (struct cut_shared){.threads = memory, .is_busy = is_busy};
	cut_is_on = true;
	cut_thread_new();
	return 0;
}

/* The other threads are not there, and this one's record is nobody's business. */
void cut_close(void)
{
	cut_is_on = false;
	cut_shared.gate = CUT_OPEN;
}

/* A record whose thread is gone and whose number is this thread's now, a free one, or a new one.
 * There are always enough: a kernel's default limit of threads is far below. */
static struct cut_thread *record_take(uint32_t tid)
{
	const uint32_t top = __atomic_load_n(&cut_shared.thread_top, __ATOMIC_ACQUIRE);

	for (uint32_t i = 0; i < top; i++)
		if (__atomic_load_n(&cut_shared.threads[i].tid, __ATOMIC_RELAXED) == tid)
			return &cut_shared.threads[i];
	for (uint32_t i = 0; i < top; i++) {
		uint32_t none = 0;
		if (__atomic_load_n(&cut_shared.threads[i].tid, __ATOMIC_RELAXED) == 0 &&
		    __atomic_compare_exchange_n(&cut_shared.threads[i].tid, &none, tid, false,
						__ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			return &cut_shared.threads[i];
	}
	const uint32_t i = __atomic_fetch_add(&cut_shared.thread_top, 1, __ATOMIC_ACQ_REL);
	if (i >= CUT_THREADS_MAX)
		__builtin_trap();
	return &cut_shared.threads[i];
}

struct cut_thread *cut_thread_new(void)
{
	const uint32_t tid = (uint32_t)os_gettid();
	struct cut_thread *self = record_take(tid);

	*self = (struct cut_thread){.state = CUT_RUNNING};
	__atomic_store_n(&self->tid, tid, __ATOMIC_RELEASE);
	cut_self = self;
	return self;
}

/* ---- The gate ---- */

static void gate_wait(struct cut_thread *self, enum cut_state state)
{
	do {
		state_set(self, state);
		for (uint32_t gate = gate_now(); gate != CUT_OPEN; gate = gate_now())
			os_futex_wait(&cut_shared.gate, gate, NULL);
		state_set(self, CUT_RUNNING);
		barrier(); /* running is said before the gate is looked at */
	} while (gate_now() != CUT_OPEN);
}

/* Outside sections, in the program's code. */
static inline bool is_held_here(const struct cut_thread *self, bool is_tx_end)
{
	const uint32_t gate = gate_now();

	return __builtin_expect(gate != CUT_OPEN, 0) &&
	       (is_tx_end || self->is_annotated || gate >= CUT_AT_LOCK_ENDS);
}

static inline void section_enter(struct cut_thread *self)
{
	self->section++;
	barrier();
}

static inline void section_leave(struct cut_thread *self, bool is_tx_end)
{
	barrier();
	if (--self->section != 0)
		return;
	self->arrivals++;
	barrier(); /* out of the section before the gate is looked at */
	if (is_held_here(self, is_tx_end))
		gate_wait(self, CUT_PARKED);
}

/* ---- Parking ---- */

static void park(struct cut_thread *self)
{
	if (self->park_depth++ != 0)
		return;
	self->arrivals++;
	state_set(self, CUT_PARKED);
}

void cut_park(void)
{
	if (cut_is_on)
		park(cut_thread());
}

void cut_unpark(void)
{
	struct cut_thread *self = cut_self;

	if (!cut_is_on || !self || self->park_depth == 0 || --self->park_depth != 0)
		return;
	state_set(self, CUT_RUNNING);
	barrier();
	/* In the middle of a section it was not taken, and others wait for it to come to its end. */
	if (__builtin_expect(gate_now() != CUT_OPEN, 0) &&
	    (self->section == 0 || self->waits_for_cut))
		gate_wait(self, CUT_PARKED);
	self->waits_for_cut = false;
}

void cut_park_for_cut(void)
{
	if (!cut_is_on)
		return;
	struct cut_thread *self = cut_thread();
	self->waits_for_cut = true;
	park(self);
}

void cut_park_event(void)
{
	if (!cut_is_on)
		return;
	struct cut_thread *self = cut_thread();
	for (uint32_t i = 0; i < self->hold_count && i < CUT_HOLDS_MAX; i++) {
		struct cut_hold *hold = &self->holds[i];
		if (hold->is_lifelong || self->tx_depth != 0)
			continue;
		hold->is_lifelong = true;
		__atomic_fetch_add(&cut_shared.lifelong, 1, __ATOMIC_RELAXED);
		self->section--;
	}
	park(self);
}

/* ---- Transactions ---- */

void cut_tx_enter(void)
{
	if (!cut_is_on)
		return;
	struct cut_thread *self = cut_thread();
	if (self->tx_depth++ != 0)
		return;
	self->is_annotated = true;
	section_enter(self);
	while (self->section == 1 && __builtin_expect(gate_now() != CUT_OPEN, 0)) {
		self->section = 0; /* nothing of it has happened yet */
		gate_wait(self, CUT_PARKED);
		section_enter(self);
	}
}

void cut_tx_leave(void)
{
	struct cut_thread *self = cut_self;

	if (cut_is_on && self && self->tx_depth != 0 && --self->tx_depth == 0)
		section_leave(self, true);
}

unsigned cut_tx_depth(void)
{
	return cut_self ? cut_self->tx_depth : 0;
}

/* ---- Locks ---- */

void cut_lock_begin(void)
{
	struct cut_thread *self = cut_thread();

	section_enter(self);
	while (self->section == 1 && is_held_here(self, false) && self->is_annotated) {
		self->section = 0;
		gate_wait(self, CUT_PARKED);
		section_enter(self);
	}
}

/* For its first lock it waits parked, outside; for a further one inside the section. */
void cut_lock_wait(const void *lock)
{
	struct cut_thread *self = cut_self;

	if (self->section != 1) {
		__atomic_store_n(&self->wanted, lock, __ATOMIC_RELEASE);
		return;
	}
	self->section = 0;
	park(self);
}

bool cut_lock_woken(void)
{
	struct cut_thread *self = cut_self;

	if (self->section != 0) {
		__atomic_store_n(&self->wanted, NULL, __ATOMIC_RELAXED);
		return true;
	}
	self->park_depth--;
	self->section = 1;
	state_set(self, CUT_RUNNING);
	barrier();
	if (gate_now() == CUT_OPEN)
		return true;
	self->section = 0;
	state_set(self, CUT_PARKED);
	return false;
}

void cut_lock_again(void)
{
	gate_wait(cut_self, CUT_PARKED);
	section_enter(cut_self);
}

void cut_lock_held(const void *lock, const void *site)
{
	struct cut_thread *self = cut_self;
	const uint32_t i = self->hold_count++;

	if (i < CUT_HOLDS_MAX)
		self->holds[i] = (struct cut_hold){lock, site, false};
}

void cut_lock_failed(void)
{
	section_leave(cut_self, false);
}

void cut_unlocked(const void *lock)
{
	struct cut_thread *self = cut_thread();
	uint32_t i = self->hold_count < CUT_HOLDS_MAX ? self->hold_count : CUT_HOLDS_MAX;

	while (i != 0 && self->holds[i - 1].lock != lock)
		i--;
	/* Taken by somebody else, or before we looked; or not told apart. */
	if (i == 0 && self->hold_count <= CUT_HOLDS_MAX)
		return;
	const bool was_lifelong = i != 0 && self->holds[i - 1].is_lifelong;
	if (i != 0)
		for (; i < self->hold_count && i < CUT_HOLDS_MAX; i++)
			self->holds[i - 1] = self->holds[i];
	self->hold_count--;
	if (!was_lifelong)
		section_leave(self, false);
}

bool cut_cond_wait(const void *lock)
{
	struct cut_thread *self = cut_thread();

	if (self->section != 1 || self->tx_depth != 0)
		return false;
	self->section = 0;
	park(self);
	return true;
}

void cut_cond_woken(bool was_left)
{
	if (!was_left)
		return;
	cut_unpark();
	cut_self->section++;
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
	const bool is_lifelong = self->section != 0 && self->tx_depth == 0 &&
				 self->lifelong_arrivals == self->arrivals + 1;
	/* Between the look at it and now it has parked, entered a section, or the allocator. */
	if (self->state == CUT_RUNNING && (self->section == 0 || is_lifelong) &&
	    !(cut_shared.is_busy && cut_shared.is_busy(pc)))
		gate_wait(self, CUT_STOPPED);
	return true;
}
