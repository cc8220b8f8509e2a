/*
 * The problem: a thread of the image must exist again, with its number, in the middle of its stack,
 * and the new process has nothing of it but memory. The trick: it is cloned onto a few bytes of a
 * stack of ours, tells the kernel what libc once told it, and jumps into the frame of the handler
 * it stood in; when all stand there again, they return, and the kernel's own signal return gives
 * each its registers, mask and alternate stack. The guarantee: no instruction of the program is
 * executed before threads_go().
 *
 * Numbers matter: mutexes that know their owner hold it, and libc compares. They can be chosen by
 * who may (CAP_CHECKPOINT_RESTORE, or root, in the user namespace that owns the pid namespace).
 * Otherwise libc's note of it, where the kernel clears it at the thread's end, is set anew.
 */
#include "threads-parts.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "ours.h"
#include "settings.h"

#define STACK_BYTES 8192u /* of the few functions before the jump */
#define PATIENCE_NS UINT64_C(10000000000)
#define CLONE_FLAGS                                                                            \
	(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |    \
	 CLONE_SETTLS)

static bool has_exact_tids OURS;
static const uint32_t *groups OURS; /* supplementary ones, of the whole process */
static unsigned group_count OURS;

static const struct thread_record *next_record(struct ledger_reader *reader)
{
	size_t len;
	const struct thread_record *record = ledger_next(reader, LEDGER_THREAD, &len);

	return record && len == sizeof(*record) ? record : NULL;
}

/* Who is not root may be again what he is. */
static bool may_become(const struct os_credentials *wanted)
{
	struct os_credentials now;

	os_get_credentials(&now);
	return now.uid[1] == 0 || memcmp(&now, wanted, sizeof(now)) == 0;
}

int threads_check(const struct ledger_reader *state, bool is_exact, char why[192])
{
	struct ledger_reader reader = *state;
	struct line line = line_in(why, 192);
	const struct thread_record *record, *first = NULL;
	uint32_t count = 0;

	has_exact_tids = is_exact;
	while ((record = next_record(&reader))) {
		count++;
		first = record->flags & THREAD_IS_MAIN ? record : first;
		if (!(record->flags & THREAD_HAS_ENDED) && !may_become(&record->credentials)) {
			line_add(&line, "it ran as user ");
			line_add_number(&line, record->credentials.uid[1], 10);
			line_add(&line, ", group ");
			line_add_number(&line, record->credentials.gid[1], 10);
			return -EPERM;
		}
	}
	if (!first || count > THREADS_MAX) {
		line_add(&line, "the image has no main thread, or too many others");
		return -EINVAL;
	}
	if (is_exact && first->tid == (uint32_t)os_getpid())
		return 0;
	if (is_exact) {
		line_add(&line, "the process was ");
		line_add_number(&line, first->tid, 10);
		line_add(&line, " and is ");
		line_add_number(&line, (unsigned)os_getpid(), 10);
		return -EEXIST;
	}
	line_add(&line, "threads get other numbers: recursive, error-checking, robust and "
			"priority-inheriting mutexes held at the epoch cannot be unlocked");
	return 0;
}

void threads_strip(void)
{
	uint64_t fs, gs;

	os_sigmask(~UINT64_C(0));
	os_set_robust_list(0, 24);
	os_set_tid_address(0);
	if (threads_shared.rseq_bytes && os_get_fs(&fs, &gs) == 0)
		os_rseq_unregister(fs + (uint64_t)threads_shared.rseq_offset,
				   threads_shared.rseq_bytes);
}

/* ---- On the thread itself ---- */

/* The area as libc leaves it before it registers. Without it libc looks elsewhere. */
static void tell_rseq(const struct thread_record *record)
{
	struct { uint32_t cpu_start, cpu; uint64_t section; } *area = (void *)record->rseq;

	if (!record->rseq_bytes)
		return;
	area->cpu = UINT32_MAX;
	area->section = 0;
	if (os_rseq_register(record->rseq, record->rseq_bytes) != 0)
		area->cpu = UINT32_MAX - 1; /* "registration failed" */
}

static void fail_as(const struct thread_record *record, int error)
{
	char text[128];
	struct line line = line_in(text, sizeof(text));

	line_add(&line, "heapsake: thread ");
	line_add_number(&line, record->tid, 10);
	line_add(&line, ": it cannot have its ids and rights again: errno ");
	line_add_number(&line, (unsigned)-error, 10);
	line_add(&line, "\n");
	os_write(2, line.text, line.len);
	os_exit_group(1);
}

/* To be told before anything that a change of ids takes back. Each thread has its own. What is not
 * given up although it was, would be a hole: that ends it. */
static void become_who_it_was(const struct thread_record *record)
{
	struct os_credentials now;
	struct os_capabilities able;

	os_get_credentials(&now);
	os_set_groups(groups, group_count); /* refused: then they are as they were given to us */
	if (memcmp(&now, &record->credentials, sizeof(now)) != 0) {
		const int refused = os_set_credentials(&record->credentials);
		if (refused)
			fail_as(record, refused);
	}
	const int error = told_make_rights(&record->told, &record->capabilities);
	if (error)
		fail_as(record, error);
	if (os_get_capabilities(&able) == 0 &&
	    memcmp(&able, &record->capabilities, sizeof(able)) != 0)
		os_set_capabilities(&record->capabilities);
	if (record->parent_death_signal)
		os_prctl(PR_SET_PDEATHSIG, record->parent_death_signal, 0);
	if (record->flags & THREAD_HAS_NO_NEW_PRIVILEGES)
		os_prctl(PR_SET_NO_NEW_PRIVS, 1, 0);
}

/* What is not allowed, or not there any more (a processor), is left out: it is about speed. */
static void tell_kernel(const struct thread_record *record)
{
	become_who_it_was(record);
	os_set_robust_list(record->robust_list, record->robust_bytes);
	if (record->gs)
		os_set_gs(record->gs);
	tell_rseq(record);
	os_prctl(PR_SET_NAME, (uintptr_t)record->name, 0);
	if (record->timer_slack_ns)
		os_prctl(PR_SET_TIMERSLACK, record->timer_slack_ns, 0);
	if (record->flags & THREAD_HAS_AFFINITY)
		os_set_affinity(0, record->affinity, sizeof(record->affinity));
	if (record->flags & THREAD_HAS_SCHEDULING)
		os_set_scheduling(0, &record->scheduling);
	told_make(&record->told);
	for (int signal = 1; signal <= 64; signal++)
		if (record->pending & UINT64_C(1) << (signal - 1))
			os_tgkill(os_gettid(), signal);
}

static void begin(void *argument)
{
	struct thread *self = argument;

	tell_kernel(&self->record);
	frame_jump(&self->record.frame, self);
}

/* ---- On the main thread ---- */

static void note_new_tid(struct thread_record *record, uint32_t tid)
{
	if (record->tid != tid && record->tid_address)
		*(uint32_t *)record->tid_address = tid;
	record->tid = tid;
}

/* The tid, or -errno. */
static long make(struct thread *thread, char *stack)
{
	struct thread_record *record = &thread->record;
	const uint32_t tid = record->tid;
	struct frame_clone clone = {
		.flags = CLONE_FLAGS | (record->tid_address ? CLONE_CHILD_CLEARTID : 0),
		.child_tid = record->tid_address,
		.stack = (uintptr_t)stack,
		.stack_bytes = STACK_BYTES,
		.tls = record->fs,
		.set_tid = (uintptr_t)&tid,
		.set_tid_count = 1,
	};
	if (has_exact_tids)
		return frame_clone(&clone, begin, thread);
	clone.set_tid = clone.set_tid_count = 0;
	clone.flags |= record->tid_address ? CLONE_CHILD_SETTID : 0;
	return frame_clone(&clone, begin, thread);
}

static int place_all(const struct ledger_reader *state)
{
	struct ledger_reader reader = *state;
	const struct thread_record *record;

	threads_shared.count = threads_shared.free_count = threads_shared.top = 0;
	threads_shared.main = UINT32_MAX;
	while ((record = next_record(&reader))) {
		const int place = threads_add(record->tid);
		if (place < 0)
			return place;
		threads_shared.threads[place].record = *record;
		threads_shared.threads[place].old_tid = record->tid;
		if (!(record->flags & THREAD_IS_MAIN))
			continue;
		threads_shared.main = (uint32_t)place;
		threads_shared.main_has_ended = (record->flags & THREAD_HAS_ENDED) != 0;
		threads_shared.is_dumpable = (record->flags & THREAD_IS_DUMPABLE) != 0;
	}
	return threads_shared.main == UINT32_MAX ? -EINVAL : 0;
}

uint32_t threads_new_tid(uint32_t old_tid)
{
	for (uint32_t i = 0; i < threads_shared.count; i++) {
		const struct thread *thread = &threads_shared.threads[threads_shared.order[i]];
		if (thread->old_tid == old_tid)
			return i == threads_shared.main ? (uint32_t)os_gettid() : thread->record.tid;
	}
	return 0;
}

static int wait_for_made(uint32_t count)
{
	const struct timespec look_again = {.tv_nsec = 10000000};
	const uint64_t end = os_clock_ns(CLOCK_MONOTONIC) + PATIENCE_NS;
	uint32_t now;

	while ((now = __atomic_load_n(&threads_shared.made, __ATOMIC_ACQUIRE)) < count) {
		if (os_clock_ns(CLOCK_MONOTONIC) > end)
			return -ETIMEDOUT;
		os_futex_wait(&threads_shared.made, now, &look_again);
	}
	return 0;
}

static int fail(struct line *why, const char *what, uint32_t tid, int error)
{
	line_add(why, "thread ");
	line_add_number(why, tid, 10);
	line_add(why, what);
	line_add_number(why, (unsigned)-error, 10);
	return error;
}

int threads_make(const struct ledger_reader *state, struct line *why)
{
	int error = place_all(state);

	groups = settings_groups(state, &group_count);
	if (error)
		return fail(why, ": its record is damaged: errno ", 0, error);
	const uint32_t count = threads_shared.count - 1;
	const size_t stacks_bytes = (size_t)(count + 1) * STACK_BYTES;
	char *stacks = os_reserve(stacks_bytes);
	if (os_is_error(stacks))
		return fail(why, ": no memory for its stack: errno ", 0, (int)(intptr_t)stacks);
	os_sigmask(~UINT64_C(0)); /* for them to begin with */
	threads_shared.made = threads_shared.may_go = 0;
	for (uint32_t i = 0; i <= count; i++) {
		struct thread *thread = &threads_shared.threads[i];
		if (i == threads_shared.main)
			continue;
		const long tid = make(thread, stacks + (size_t)i * STACK_BYTES);
		if (tid < 0)
			return fail(why, " cannot be made: errno ", thread->record.tid, (int)tid);
		thread->record.tid = (uint32_t)tid;
	}
	error = wait_for_made(count);
	if (error)
		return fail(why, " or another does not come to its place: errno ", 0, error);
	os_munmap(stacks, stacks_bytes);
	return 0;
}

void threads_go(void)
{
	struct thread *first = &threads_shared.threads[threads_shared.main];
	struct thread_record *record = &first->record;

	note_new_tid(record, (uint32_t)os_gettid());
	os_set_tid_address(record->tid_address);
	if (!(record->flags & THREAD_HAS_ENDED)) {
		os_set_fs(record->fs);
		tell_kernel(record);
	}
	/* Changes of ids take it away. */
	os_prctl(PR_SET_DUMPABLE, record->flags & THREAD_IS_DUMPABLE ? 1 : 0, 0);
	__atomic_store_n(&threads_shared.may_go, 1, __ATOMIC_RELEASE);
	os_futex_wake(&threads_shared.may_go, INT_MAX);
	if (record->flags & THREAD_HAS_ENDED)
		os_exit_thread();
	frame_jump(&record->frame, first);
	__builtin_unreachable();
}
