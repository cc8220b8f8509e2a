/*
 * The committer's side of the gate.
 *
 * The problem: all threads must stand at a place where the program's data is whole, soon, although
 * nobody told us where that is, and none may be held for long in vain. The trick: watch first,
 * holding nobody; when all look as if they would arrive in a moment, close the gates for at most
 * 2 ms; and ask for less as time goes by: first only transactions' ends and blocking calls will do,
 * then the end of any lock's hold, at last the program's code outside locks. Then 2 ms are too few
 * on a machine with more to do than it can, where it takes longer for a thread to be on a processor
 * at all: those holds become longer, up to 32 ms. The guarantee: on 0 every thread stands, none of
 * them in a section or in the allocator; else nobody is held.
 *
 * A thread says where it is by plain stores. membarrier() between closing the gates and reading
 * them makes that enough: whoever was not seen parked will see the gates closed.
 */
#include <errno.h>
#include <fcntl.h>

#include "cut-gate.h"
#include "line.h"
#include "os.h"

#define HOLD_NS UINT64_C(2000000)
#define HOLD_MAX_NS UINT64_C(32000000)
#define LOOK_NS UINT64_C(100000)
#define MOVING_NS UINT64_C(10000000)
#define POLL_NS UINT64_C(20000)
#define SIGNAL_AGAIN_NS UINT64_C(50000)
#define LOCK_ENDS_MAX_NS UINT64_C(20000000)
#define ANYWHERE_MAX_NS UINT64_C(200000000)
#define GIVE_UP_NS UINT64_C(1000000000)
#define LIFELONG_NS UINT64_C(1000000000)

static uint64_t now_ns(void)
{
	return os_clock_ns(CLOCK_MONOTONIC);
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* What may be asked of threads after so long. Without an interval as with a long one. */
static enum cut_gate gate_after(uint64_t waited_ns, uint64_t interval_ns)
{
	const uint64_t interval = interval_ns ? interval_ns : UINT64_MAX;

	if (waited_ns >= least(ANYWHERE_MAX_NS, interval / 2))
		return CUT_ANYWHERE;
	return waited_ns >= least(LOCK_ENDS_MAX_NS, interval / 5) ? CUT_AT_LOCK_ENDS :
								   CUT_AT_TX_ENDS;
}

/* ---- Threads ---- */

/* May it be stopped where it is? */
static bool may_be_stopped(const struct cut_thread *thread, enum cut_gate gate)
{
	return cut_is_running(thread) && cut_is_outside(thread) &&
	       (thread->is_annotated || gate == CUT_ANYWHERE);
}

/* A main thread that has ended by pthread_exit() stays, and is none any more. */
static bool is_zombie(uint32_t tid)
{
	char path[64], text[128];
	struct line at = line_in(path, sizeof(path));

	if (tid != (uint32_t)cut_shared.pid)
		return false;
	line_add(&at, "/proc/self/task/");
	line_add_number(&at, tid, 10);
	line_add(&at, "/stat");
	long i = os_read_file(path, text, sizeof(text)) - 1;
	while (i > 0 && text[i] != ')') /* the name's end, whatever is in it */
		i--;
	return i > 0 && i + 2 < (long)sizeof(text) && text[i + 2] == 'Z';
}

/* A thread that is gone leaves its record behind. */
static bool is_gone(struct cut_thread *thread)
{
	if (os_tgkill((int)thread->tid, 0) != -ESRCH)
		return false;
	__atomic_store_n(&thread->state, CUT_RUNNING, __ATOMIC_RELAXED);
	__atomic_store_n(&thread->tid, 0, __ATOMIC_RELEASE);
	return true;
}

/* ---- Threads that have no record ---- */

/* The count of links of /proc/self/task is 2 + threads. The committer has no record. */
static uint32_t tasks_there(void)
{
	struct stat st;

	return os_stat("/proc/self/task", &st) == 0 && st.st_nlink > 2 ? (uint32_t)st.st_nlink - 3 : 0;
}

static bool is_known(uint32_t tid)
{
	for (uint32_t i = 0; i < cut_thread_top(); i++) {
		const struct cut_thread *thread = cut_thread_at(i);
		if (thread && thread->tid == tid)
			return true;
	}
	return tid == (uint32_t)os_gettid();
}

/* Calls visit(tid) for each thread without a record. */
static uint32_t visit_unknown(void (*visit)(uint32_t tid))
{
	struct { uint64_t ino; int64_t next; uint16_t len; uint8_t type; char name[]; } *entry;
	char buffer[2048] __attribute__((aligned(8)));
	uint32_t count = 0;
	const int fd = os_open_aside("/proc/self/task", O_DIRECTORY);
	long len;

	while (fd >= 0 && (len = os_getdents(fd, buffer, sizeof(buffer))) > 0)
		for (long at = 0; at < len; at += entry->len) {
			uint32_t tid = 0;
			entry = (void *)(buffer + at);
			for (const char *c = entry->name; *c >= '0' && *c <= '9'; c++)
				tid = tid * 10 + (uint32_t)(*c - '0');
			if (tid == 0 || is_known(tid))
				continue;
			count++;
			if (visit)
				visit(tid);
		}
	if (fd >= 0)
		os_close(fd);
	else
		cut_shared.list_error = fd;
	return count;
}

/* The dead are looked for each time: the record of one must not stand in for a thread that has
 * none. */
static uint32_t records_alive(void)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < cut_thread_top(); i++) {
		struct cut_thread *thread = cut_thread_at(i);
		count += thread && !is_gone(thread);
	}
	return count;
}

static bool has_unknown(void)
{
	const uint32_t there = tasks_there();

	return there != 0 && there != records_alive();
}

/* ---- Watching ---- */

/* Has it come to a place where it could have been taken, lately? With fewer processors than threads
 * they do not do so all at once. */
static bool is_moving(struct cut_thread *thread, enum cut_gate gate)
{
	const bool counts_lock_ends = thread->is_annotated || gate >= CUT_AT_LOCK_ENDS;
	const uint32_t *places = counts_lock_ends ? &thread->arrivals : &thread->parks;
	const uint32_t count = __atomic_load_n(places, __ATOMIC_RELAXED);
	const uint64_t now = now_ns();

	if (count != thread->seen_places) {
		thread->seen_places = count;
		thread->moved_ns = now;
	}
	return now - thread->moved_ns < MOVING_NS;
}

/* Will it soon be where it may be taken, if the gates are closed now? */
static bool looks_ready(struct cut_thread *thread, enum cut_gate gate)
{
	const bool was_moving = is_moving(thread, gate);

	return cut_is_taken(thread) || may_be_stopped(thread, gate) || was_moving ||
	       thread->tx_depth != 0;
}

static bool all_look_ready(enum cut_gate gate)
{
	bool is_ready = gate == CUT_ANYWHERE || !has_unknown();

	for (uint32_t i = 0; i < cut_thread_top(); i++) {
		struct cut_thread *thread = cut_thread_at(i);
		if (thread && !looks_ready(thread, gate) && !is_gone(thread))
			is_ready = false;
	}
	return is_ready;
}

/* The oldest hold that counts, 0: none. What the thread changes meanwhile makes it a number that
 * was given to a lock it held a moment ago, at worst. */
static uint64_t oldest_hold(const struct cut_thread *thread)
{
	const uint32_t count = __atomic_load_n(&thread->hold_count, __ATOMIC_ACQUIRE);

	for (uint32_t i = 0; i < count; i++) {
		const uint64_t number = __atomic_load_n(&thread->holds[i].number, __ATOMIC_RELAXED);
		if (number > thread->lifelong)
			return number;
	}
	const uint64_t untold = __atomic_load_n(&thread->untold_newest, __ATOMIC_RELAXED);
	return thread->untold && untold > thread->lifelong ? untold : 0;
}

static uint64_t newest_hold(const struct cut_thread *thread)
{
	const uint32_t count = __atomic_load_n(&thread->hold_count, __ATOMIC_ACQUIRE);
	const uint64_t untold = __atomic_load_n(&thread->untold_newest, __ATOMIC_RELAXED);
	const uint64_t told =
		count ? __atomic_load_n(&thread->holds[count - 1].number, __ATOMIC_RELAXED) : 0;

	return told > untold ? told : untold;
}

static uint32_t holds_between(const struct cut_thread *thread, uint64_t above, uint64_t last)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < __atomic_load_n(&thread->hold_count, __ATOMIC_ACQUIRE); i++) {
		const uint64_t number = __atomic_load_n(&thread->holds[i].number, __ATOMIC_RELAXED);
		count += number > above && number <= last;
	}
	return count;
}

/* A lock held for so long is no section: it guards something else than data; and so are those that
 * were held when we began to look at it and still are. The gates are open: when they are closed,
 * threads and we must be of one mind about what is a section. */
static void note_lifelong(struct cut_thread *thread)
{
	const uint64_t oldest = oldest_hold(thread), now = now_ns();

	if (oldest != thread->oldest_seen) {
		thread->oldest_seen = oldest;
		thread->oldest_since_ns = now;
		thread->newest_seen = newest_hold(thread);
	} else if (oldest != 0 && now - thread->oldest_since_ns > LIFELONG_NS) {
		const uint64_t newest = thread->newest_seen > oldest ? thread->newest_seen : oldest;
		__atomic_fetch_add(&cut_shared.lifelong, holds_between(thread, thread->lifelong, newest),
				   __ATOMIC_RELAXED);
		__atomic_store_n(&thread->lifelong, newest, __ATOMIC_RELEASE);
	}
}

static bool holds(const struct cut_thread *thread, const void *lock)
{
	for (uint32_t i = 0; i < thread->hold_count; i++)
		if (thread->holds[i].lock == lock)
			return true;
	return false;
}

/* Somebody in a section waits for a lock whose holder waits for this cut. */
static bool is_deadlock(void)
{
	bool is_one = false;

	for (uint32_t i = 0; i < cut_thread_top(); i++) {
		const struct cut_thread *thread = cut_thread_at(i);
		const void *wanted = thread ? __atomic_load_n(&thread->wanted, __ATOMIC_ACQUIRE) : NULL;
		for (uint32_t j = 0; wanted && j < cut_thread_top(); j++) {
			struct cut_thread *other = cut_thread_at(j);
			if (!other || other == thread || !other->waits_for_cut || !holds(other, wanted))
				continue;
			__atomic_store_n(&other->is_deadlocked, true, __ATOMIC_RELEASE);
			is_one = true;
		}
	}
	return is_one;
}

/* ---- The gates ---- */

static void gate_close(enum cut_gate gate)
{
	__atomic_store_n(&cut_shared.gate, gate, __ATOMIC_SEQ_CST);
	/* From here on a thread has either been seen running or sees the gates. */
	os_membarrier();
}

static void gate_open(void)
{
	__atomic_store_n(&cut_shared.gate, CUT_OPEN, __ATOMIC_RELEASE);
	os_futex_wake(&cut_shared.gate, INT32_MAX);
}

static void signal_thread(uint32_t tid)
{
	const int error = os_tgsigqueue((int)tid, CUT_SIGNAL, CUT_MAGIC);

	if (error && error != -ESRCH)
		cut_shared.send_error = error;
}

static void stop_thread(struct cut_thread *thread, unsigned *ret_forced)
{
	if (is_gone(thread))
		return;
	if (thread->is_signalled && is_zombie(thread->tid))
		__atomic_store_n(&thread->state, CUT_PARKED, __ATOMIC_RELAXED);
	if (!thread->is_annotated && !thread->is_signalled)
		(*ret_forced)++;
	thread->is_signalled = true;
	signal_thread(thread->tid);
}

/* One round: who may be stopped is signalled. True: all stand. */
static bool round_stop(enum cut_gate gate, bool may_signal, unsigned *ret_forced)
{
	bool is_complete = true;

	for (uint32_t i = 0; i < cut_thread_top(); i++) {
		struct cut_thread *thread = cut_thread_at(i);
		if (!thread || cut_is_taken(thread))
			continue;
		is_complete = false;
		if (may_signal && may_be_stopped(thread, gate))
			stop_thread(thread, ret_forced);
	}
	if (!is_complete || !has_unknown())
		return is_complete;
	if (may_signal && gate == CUT_ANYWHERE)
		*ret_forced += visit_unknown(signal_thread);
	return false;
}

/* Those who have not come are on no way to anywhere: they lack a processor, or were signalled a
 * moment ago. The gates are closed. */
static bool all_could_come(enum cut_gate gate)
{
	for (uint32_t i = 0; i < cut_thread_top(); i++) {
		const struct cut_thread *thread = cut_thread_at(i);
		if (thread && !cut_is_taken(thread) && !may_be_stopped(thread, gate))
			return false;
	}
	return true;
}

/* False: they are let go after *hold_ns. Who stands leaves the processors to the others, so where
 * nothing else is wanting the next hold is longer. */
static bool hold_all(enum cut_gate gate, uint64_t *hold_ns, struct cut_report *report)
{
	const uint64_t began = now_ns();
	uint64_t signalled = 0;

	report->closed_ns = began;
	report->forced = 0;
	cut_shared.send_error = cut_shared.list_error = 0;
	for (uint32_t i = 0; i < cut_thread_top(); i++)
		cut_shared.threads[i].is_signalled = false;
	if (cut_shared.arm)
		cut_shared.arm();
	gate_close(gate);
	for (uint64_t now = began; now - began < *hold_ns; now = now_ns()) {
		const bool may_signal = now - signalled >= SIGNAL_AGAIN_NS;
		signalled = may_signal ? now : signalled;
		if (round_stop(gate, may_signal, &report->forced))
			return true;
		os_sleep_ns(POLL_NS);
	}
	if (gate == CUT_ANYWHERE && all_could_come(gate))
		*hold_ns = least(2 * *hold_ns, HOLD_MAX_NS);
	gate_open();
	return false;
}

int cut_stop(uint64_t interval_ns, struct cut_report *ret_report)
{
	const uint64_t began = now_ns();
	uint64_t pause_ns = LOOK_NS, hold_ns = HOLD_NS;

	*ret_report = (struct cut_report){.lifelong = cut_shared.lifelong};
	for (uint64_t waited = 0; waited < GIVE_UP_NS && !cut_shared.is_overfull;
	     waited = now_ns() - began) {
		const enum cut_gate gate = gate_after(waited, interval_ns);
		for (uint32_t i = 0; i < cut_thread_top(); i++)
			if (cut_thread_at(i))
				note_lifelong(cut_thread_at(i));
		if (all_look_ready(gate)) {
			if (hold_all(gate, &hold_ns, ret_report))
				return 0;
			pause_ns = least(2 * pause_ns, 10 * HOLD_NS); /* they were held in vain */
		}
		if (is_deadlock())
			return CUT_E_DEADLOCK;
		os_sleep_ns(pause_ns);
	}
	struct line culprit = line_in(ret_report->culprit, sizeof(ret_report->culprit));
	cut_name_culprit(&culprit);
	return CUT_E_GIVEN_UP;
}

void cut_release(struct cut_report *report)
{
	gate_open();
	report->pause_ns = now_ns() - report->closed_ns;
}
