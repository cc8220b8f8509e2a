/*
 * The committer's side of the gate.
 *
 * The problem: all threads must stand at a place where the program's data is whole, soon, although
 * nobody told us where that is, and none may be held for long in vain. The trick: watch first,
 * holding nobody; when all look as if they would arrive in a moment, close the gates for at most
 * 2 ms; and ask for less as time goes by: first only transactions' ends and blocking calls will do,
 * then the end of any lock's hold, at last the program's code outside locks. The guarantee: on 0
 * every thread stands, none of them in a section or in the allocator; else nobody is held.
 *
 * A thread says where it is by plain stores. membarrier() between closing the gates and reading
 * them makes that enough: whoever was not seen parked will see the gates closed.
 */
#include <errno.h>
#include <fcntl.h>

#include "cut-gate.h"
#include "line.h"
#include "os.h"
#include "place.h"

#define HOLD_NS UINT64_C(2000000)
#define LOOK_NS UINT64_C(100000)
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

struct sight {
	uint32_t state, section, arrivals;
};

static struct sight look(const struct cut_thread *thread)
{
	return (struct sight){
		.state = __atomic_load_n(&thread->state, __ATOMIC_ACQUIRE),
		.section = __atomic_load_n(&thread->section, __ATOMIC_RELAXED),
		.arrivals = __atomic_load_n(&thread->arrivals, __ATOMIC_RELAXED),
	};
}

static bool is_outside(const struct cut_thread *thread, const struct sight *sight)
{
	return sight->section == 0 || thread->waits_for_cut ||
	       (thread->lifelong_arrivals == sight->arrivals + 1 && thread->tx_depth == 0);
}

static bool is_taken(const struct cut_thread *thread)
{
	const struct sight sight = look(thread);

	return sight.state != CUT_RUNNING && is_outside(thread, &sight);
}

/* May it be stopped where it is? */
static bool may_be_stopped(const struct cut_thread *thread, enum cut_gate gate)
{
	const struct sight sight = look(thread);

	return sight.state == CUT_RUNNING && is_outside(thread, &sight) &&
	       (thread->is_annotated || gate == CUT_ANYWHERE);
}

/* A thread that is gone leaves its record behind. */
static bool is_gone(struct cut_thread *thread)
{
	if (os_tgkill((int)thread->tid, 0) != -ESRCH)
		return false;
	__atomic_store_n(&thread->tid, 0, __ATOMIC_RELEASE);
	return true;
}

static struct cut_thread *thread_at(uint32_t i)
{
	struct cut_thread *thread = &cut_shared.threads[i];

	return __atomic_load_n(&thread->tid, __ATOMIC_ACQUIRE) ? thread : NULL;
}

static uint32_t thread_top(void)
{
	return __atomic_load_n(&cut_shared.thread_top, __ATOMIC_ACQUIRE);
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
	for (uint32_t i = 0; i < thread_top(); i++) {
		const struct cut_thread *thread = thread_at(i);
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
	const int fd = os_open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
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
	return count;
}

static uint32_t records_alive(void)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < thread_top(); i++)
		count += thread_at(i) != NULL;
	return count;
}

/* Records of the dead are dropped only when the numbers do not agree. */
static bool has_unknown(void)
{
	if (tasks_there() == records_alive())
		return false;
	for (uint32_t i = 0; i < thread_top(); i++) {
		struct cut_thread *thread = thread_at(i);
		if (thread)
			is_gone(thread);
	}
	return visit_unknown(NULL) != 0;
}

/* ---- Watching ---- */

/* Will it soon be where it may be taken, if the gates are closed now? */
static bool looks_ready(struct cut_thread *thread, enum cut_gate gate)
{
	const struct sight sight = look(thread);
	const bool is_moving = thread->is_looked_at && sight.arrivals != thread->seen_arrivals;

	thread->is_looked_at = true;
	thread->seen_arrivals = sight.arrivals;
	if (is_outside(thread, &sight))
		return sight.state != CUT_RUNNING || thread->is_annotated || gate == CUT_ANYWHERE ||
		       is_moving;
	return is_moving || thread->tx_depth != 0;
}

static bool all_look_ready(enum cut_gate gate)
{
	bool is_ready = gate == CUT_ANYWHERE || !has_unknown();

	for (uint32_t i = 0; i < thread_top(); i++) {
		struct cut_thread *thread = thread_at(i);
		if (thread && !looks_ready(thread, gate) && !is_gone(thread))
			is_ready = false;
	}
	return is_ready;
}

/* A lock held for so long is no section: it guards something else than data. */
static void note_lifelong(struct cut_thread *thread, uint64_t waited_ns)
{
	const struct sight sight = look(thread);

	if (waited_ns < LIFELONG_NS / 2 || sight.section == 0 || thread->tx_depth != 0 ||
	    sight.arrivals != thread->seen_arrivals)
		return;
	const uint64_t now = now_ns();
	if (thread->section_since_ns == 0 || thread->lifelong_arrivals != 0) {
		thread->section_since_ns = now;
	} else if (now - thread->section_since_ns > LIFELONG_NS) {
		thread->lifelong_arrivals = sight.arrivals + 1;
		thread->section_since_ns = 0;
		cut_shared.lifelong += thread->hold_count;
	}
}

static bool holds(const struct cut_thread *thread, const void *lock)
{
	for (uint32_t i = 0; i < thread->hold_count && i < CUT_HOLDS_MAX; i++)
		if (thread->holds[i].lock == lock)
			return true;
	return false;
}

/* Somebody in a section waits for a lock whose holder waits for this cut. */
static bool is_deadlock(void)
{
	for (uint32_t i = 0; i < thread_top(); i++) {
		const struct cut_thread *thread = thread_at(i);
		const void *wanted = thread ? __atomic_load_n(&thread->wanted, __ATOMIC_ACQUIRE) : NULL;
		for (uint32_t j = 0; wanted && j < thread_top(); j++) {
			const struct cut_thread *other = thread_at(j);
			if (other && other != thread && other->waits_for_cut && holds(other, wanted))
				return true;
		}
	}
	return false;
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
	os_tgsigqueue((int)tid, CUT_SIGNAL, CUT_MAGIC);
}

/* One round: who may be stopped is signalled. True: all stand. */
static bool round_stop(enum cut_gate gate, bool may_signal, unsigned *ret_forced)
{
	bool is_complete = true;

	for (uint32_t i = 0; i < thread_top(); i++) {
		struct cut_thread *thread = thread_at(i);
		if (!thread || is_taken(thread))
			continue;
		is_complete = false;
		if (!may_signal || !may_be_stopped(thread, gate))
			continue;
		if (is_gone(thread))
			continue;
		if (!thread->is_annotated && !thread->is_signalled)
			(*ret_forced)++;
		thread->is_signalled = true;
		signal_thread(thread->tid);
	}
	if (!is_complete || tasks_there() <= records_alive())
		return is_complete;
	if (may_signal && gate == CUT_ANYWHERE)
		visit_unknown(signal_thread);
	return false;
}

static bool hold_all(enum cut_gate gate, struct cut_report *report)
{
	const uint64_t began = now_ns();
	uint64_t signalled = 0;

	report->closed_ns = began;
	report->forced = 0;
	for (uint32_t i = 0; i < thread_top(); i++)
		cut_shared.threads[i].is_signalled = false;
	gate_close(gate);
	for (uint64_t now = began; now - began < HOLD_NS; now = now_ns()) {
		const bool may_signal = now - signalled >= SIGNAL_AGAIN_NS;
		signalled = may_signal ? now : signalled;
		if (round_stop(gate, may_signal, &report->forced))
			return true;
		os_sleep_ns(POLL_NS);
	}
	gate_open();
	return false;
}

/* ---- Giving up ---- */

static void name_thread(struct line *line, const struct cut_thread *thread)
{
	char path[64], name[32];
	struct line at = line_in(path, sizeof(path));

	line_add(&at, "/proc/self/task/");
	line_add_number(&at, thread->tid, 10);
	line_add(&at, "/comm");
	const long len = os_read_file(path, name, sizeof(name) - 1);
	name[len > 0 ? len - 1 : 0] = 0;
	line_add(line, "thread ");
	line_add_number(line, thread->tid, 10);
	line_add(line, " (");
	line_add(line, name);
	line_add(line, ")");
}

static void name_culprit(struct line *line, const struct cut_thread *thread)
{
	name_thread(line, thread);
	if (thread->tx_depth != 0) {
		line_add(line, " stays in its HSK_TX");
	} else if (thread->hold_count != 0) {
		const uint32_t last = (thread->hold_count < CUT_HOLDS_MAX ? thread->hold_count :
									    CUT_HOLDS_MAX) - 1;
		line_add(line, " holds lock 0x");
		line_add_number(line, (uintptr_t)thread->holds[last].lock, 16);
		line_add(line, ", taken at ");
		place_add(line, thread->holds[last].site);
	} else {
		line_add(line, " does not stop");
	}
}

static int give_up(struct cut_report *report)
{
	struct line line = line_in(report->culprit, sizeof(report->culprit));

	for (uint32_t i = 0; i < thread_top() && !line.len; i++) {
		const struct cut_thread *thread = thread_at(i);
		if (thread && !is_taken(thread))
			name_culprit(&line, thread);
	}
	if (!line.len)
		line_add(&line, "a thread that is not known to libc does not stop");
	return CUT_E_GIVEN_UP;
}

int cut_stop(uint64_t interval_ns, struct cut_report *ret_report)
{
	const uint64_t began = now_ns();
	uint64_t pause_ns = LOOK_NS;

	*ret_report = (struct cut_report){.lifelong = cut_shared.lifelong};
	for (uint64_t waited = 0; waited < GIVE_UP_NS; waited = now_ns() - began) {
		const enum cut_gate gate = gate_after(waited, interval_ns);
		if (all_look_ready(gate)) {
			if (hold_all(gate, ret_report))
				return 0;
			pause_ns = least(2 * pause_ns, 10 * HOLD_NS); /* they were held in vain */
		}
		if (is_deadlock())
			return CUT_E_DEADLOCK;
		for (uint32_t i = 0; i < thread_top(); i++)
			if (thread_at(i))
				note_lifelong(thread_at(i), waited);
		os_sleep_ns(pause_ns);
	}
	return give_up(ret_report);
}

void cut_release(struct cut_report *report)
{
	gate_open();
	report->pause_ns = now_ns() - report->closed_ns;
}
