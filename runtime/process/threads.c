/*
 * The problem: all threads must stand still within microseconds, wherever they are; threads come
 * and go meanwhile; one that has not come may be waiting for one that has. The trick: those known
 * from the last time are signalled at once; the kernel's count of threads then says whether there
 * are others, and only then they are listed. If somebody does not come soon, all go on, and it is
 * tried again, with more time: whatever he waited for has moved. The guarantee: on success no
 * instruction of the program is executed until threads_release(), and each thread's record says
 * what the kernel knows of it; on failure nobody is held, and one who did not come is named.
 *
 * A thread that stands cannot end, so `known ones stand` and `there are as many` is exact.
 */
#include "threads-parts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "checkpoint/cut.h"
#include "line.h"
#include "ours.h"
#include "settings.h"
#include "task.h"

#define FIRST_HOLD_NS UINT64_C(20000000)
#define SPIN_NS UINT64_C(15000)
#define LOOK_AGAIN_MIN_NS 100000
#define LOOK_AGAIN_MAX_NS 2000000

/* Of the last try to stop all: why somebody could not be told to, or be found; 0: nothing amiss */
static int send_error OURS, list_error OURS;

/* ---- Those that are known ---- */

int threads_add(uint32_t tid)
{
	if (threads_shared.free_count == 0 && threads_shared.top == THREADS_MAX)
		return -ENOSPC;
	const uint32_t place = threads_shared.free_count ?
		threads_shared.free[--threads_shared.free_count] : threads_shared.top++;
	struct thread *thread = &threads_shared.threads[place];
	memset(thread, 0, sizeof(*thread));
	thread->record.tid = tid;
	thread->birth = ++threads_shared.births;
	threads_shared.order[threads_shared.count++] = (uint16_t)place;
	return (int)place;
}

static struct thread *thread_at(uint32_t i)
{
	return &threads_shared.threads[threads_shared.order[i]];
}

static bool has_come(const struct thread *thread)
{
	return __atomic_load_n(&thread->stands, __ATOMIC_ACQUIRE) == threads_shared.generation;
}

static bool has_ended(const struct thread *thread)
{
	return (thread->record.flags & THREAD_HAS_ENDED) != 0;
}

/* Only the main thread stays when it has ended. */
static bool is_zombie(const struct thread *thread)
{
	return thread->record.tid == (uint32_t)threads_shared.pid && os_is_zombie(thread->record.tid);
}

/* False: there is no such thread any more. */
static bool send(struct thread *thread, bool *ret_is_refused)
{
	const uint64_t value = THREADS_MARK << 48 | (uint64_t)threads_shared.generation << 16 |
			       (uint64_t)(thread - threads_shared.threads);

	if (has_ended(thread)) {
		thread->stands = threads_shared.generation;
		return true;
	}
	absent_add(&threads_shared.absent);
	const int error = os_tgsigqueue_in(threads_shared.pid, (int)thread->record.tid,
					   OURS_STOP_SIGNAL, (void *)(uintptr_t)value);
	if (error == 0)
		return true;
	absent_come(&threads_shared.absent, threads_shared.generation);
	if (error != -ESRCH) {
		*ret_is_refused = true;
		send_error = error;
	}
	return error != -ESRCH;
}

/* Keeps the order of those for whom keep() is true; places of others are given back. */
static void keep_only(bool (*keep)(struct thread *thread, bool *ret_flag), bool *ret_flag)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < threads_shared.count; i++) {
		const uint16_t place = threads_shared.order[i];
		if (keep(&threads_shared.threads[place], ret_flag))
			threads_shared.order[kept++] = place;
		else
			threads_shared.free[threads_shared.free_count++] = place;
	}
	threads_shared.count = kept;
}

/* One that ended before the signal came to it will not come. */
static bool is_still_there(struct thread *thread, bool *ret_unused)
{
	if (has_come(thread))
		return true;
	if (os_tgkill((int)thread->record.tid, 0) == -ESRCH) {
		absent_come(&threads_shared.absent, threads_shared.generation);
		return false;
	}
	if (is_zombie(thread)) {
		thread->record.flags = THREAD_IS_MAIN | THREAD_HAS_ENDED;
		if (!threads_shared.main_has_ended) {
			threads_shared.main_has_ended = true;
			/* Who has come already has not said what all say now: at the next try. */
			__atomic_add_fetch(&threads_told.age, 1, __ATOMIC_RELEASE);
		}
		thread->record.frame = (struct frame){0};
		thread->stands = threads_shared.generation;
		absent_come(&threads_shared.absent, threads_shared.generation);
	}
	return true;
}

static bool spin_for_absent(void)
{
	const uint64_t until = os_clock_ns(CLOCK_MONOTONIC) + SPIN_NS;

	do {
		for (unsigned i = 0; i < 64; i++) {
			if (absent_count(&threads_shared.absent) == 0)
				return true;
			frame_relax();
		}
	} while (os_clock_ns(CLOCK_MONOTONIC) < until);
	return false;
}

/* All who were signalled have come, or ended. No longer than to `end_ns`, nor than hold_ns while
 * nobody comes. Whoever ended is looked for only then: it costs a call for each absent one. */
static bool wait_for_absent(uint64_t hold_ns, uint64_t end_ns)
{
	struct timespec look_again = {.tv_nsec = LOOK_AGAIN_MIN_NS};
	uint32_t fewest = UINT32_MAX;
	uint64_t now = os_clock_ns(CLOCK_MONOTONIC), until = now + hold_ns;
	bool unused;

	if (spin_for_absent())
		return true;
	while (now < until && now < end_ns) {
		long result;
		const uint32_t left = absent_await(&threads_shared.absent, &look_again, &result);
		if (left == 0)
			return true;
		now = os_clock_ns(CLOCK_MONOTONIC); /* perhaps long after it was woken */
		if (left < fewest) {
			until = now + hold_ns;
		} else if (result == -ETIMEDOUT) {
			keep_only(is_still_there, &unused);
			if (look_again.tv_nsec < LOOK_AGAIN_MAX_NS)
				look_again.tv_nsec *= 2;
		}
		fewest = left < fewest ? left : fewest;
	}
	return false;
}

/* All threads but the calling one; 0: there is no telling. */
static uint32_t count_others(void)
{
	struct stat st;

	return os_stat("/proc/self/task", &st) == 0 && st.st_nlink > 3 ? (uint32_t)st.st_nlink - 3 : 0;
}

static bool is_known(uint32_t tid, uint32_t *cursor)
{
	for (uint32_t i = 0; i < threads_shared.count; i++) {
		const uint32_t at = (*cursor + i) % threads_shared.count;
		if (thread_at(at)->record.tid == tid) {
			*cursor = at + 1;
			return true;
		}
	}
	return false;
}

/* Signals whoever is not known yet. 0 or -errno */
static int send_to_new(void)
{
	struct { uint64_t ino; int64_t next; uint16_t len; uint8_t type; char name[]; } *entry;
	static char buffer[16384] __attribute__((aligned(8))) OURS;
	const uint32_t self = (uint32_t)os_gettid();
	uint32_t cursor = 0;
	bool is_refused = false;
	const int fd = os_open_aside("/proc/self/task", O_DIRECTORY);
	long len = fd;

	while (fd >= 0 && !is_refused && (len = os_getdents(fd, buffer, sizeof(buffer))) > 0)
		for (long at = 0; at < len; at += entry->len) {
			uint32_t tid = 0;
			entry = (void *)(buffer + at);
			for (const char *c = entry->name; *c >= '0' && *c <= '9'; c++)
				tid = tid * 10 + (uint32_t)(*c - '0');
			if (tid == 0 || tid == self || is_known(tid, &cursor))
				continue;
			const int place = threads_add(tid);
			if (place < 0)
				is_refused = true;
			else if (!send(&threads_shared.threads[place], &is_refused)) {
				threads_shared.count--; /* ended meanwhile; it is the last one */
				threads_shared.free[threads_shared.free_count++] = (uint16_t)place;
			}
		}
	if (fd >= 0)
		os_close(fd);
	if (len < 0)
		list_error = (int)len;
	return is_refused ? -EAGAIN : (int)len;
}

/* Somebody stands in the middle of giving all threads other ids, which some may have by now. */
static bool is_changing_ids(void)
{
	return threads_calls.ids_begun != threads_calls.ids_ended;
}

static bool try_to_stop(uint64_t hold_ns, uint64_t end_ns)
{
	const uint64_t until = os_clock_ns(CLOCK_MONOTONIC) + hold_ns;
	const bool had_ended = threads_shared.main_has_ended;
	bool is_refused = false;

	send_error = list_error = 0;
	threads_shared.signals_ended =
		__atomic_load_n(&threads_calls.signals_ended, __ATOMIC_ACQUIRE);
	absent_begin(&threads_shared.absent, threads_shared.generation);
	keep_only(send, &is_refused);
	while (!is_refused && wait_for_absent(hold_ns, end_ns)) {
		if (count_others() == threads_shared.count)
			return !is_changing_ids() && had_ended == threads_shared.main_has_ended;
		const uint64_t now = os_clock_ns(CLOCK_MONOTONIC);
		if (now >= until || send_to_new() < 0)
			return false;
	}
	return false;
}

/* ---- Giving up ---- */

static void name_thread(struct line *line, const struct thread *thread)
{
	char name[32], call[128], where[64];

	long len = os_read_thread(thread->record.tid, "comm", name, sizeof(name));
	name[len > 0 ? len - 1 : 0] = 0;
	os_read_thread(thread->record.tid, "syscall", call, sizeof(call));
	char *end = call; /* of the number */
	while (*end >= '0' && *end <= '9')
		end++;
	*end = 0;
	len = os_read_thread(thread->record.tid, "wchan", where, sizeof(where));
	line_add(line, "thread ");
	line_add_number(line, thread->record.tid, 10);
	line_add(line, " (");
	line_add(line, name);
	line_add(line, ") does not stop");
	if (call[0]) {
		line_add(line, ": it is in system call ");
		line_add(line, call);
	}
	if (len > 1) {
		line_add(line, ", at ");
		line_add(line, where);
	}
}

static void name_culprit(char why[192])
{
	struct line line = line_in(why, 192);

	cut_name_limit(&line, send_error, list_error);
	for (uint32_t i = 0; i < threads_shared.count && !line.len; i++)
		if (!has_come(thread_at(i)))
			name_thread(&line, thread_at(i));
	if (!line.len && is_changing_ids())
		line_add(&line, "user or group ids are being changed");
	if (!line.len)
		line_add(&line, count_others() ? "threads begin and end faster than they can be stopped" :
						 "/proc/self/task cannot be looked at");
}

int threads_stop(uint64_t patience_ns, char why[192])
{
	const uint64_t end = os_clock_ns(CLOCK_MONOTONIC) + patience_ns;

	threads_arm();
	for (uint64_t hold_ns = FIRST_HOLD_NS;; hold_ns *= 2) {
		if (try_to_stop(hold_ns, end))
			return 0;
		const bool is_over = os_clock_ns(CLOCK_MONOTONIC) >= end;
		if (is_over)
			name_culprit(why);
		threads_release();
		if (is_over)
			return -EAGAIN;
		os_sleep_ns(hold_ns / 8); /* for whoever is waited for */
	}
}

void threads_release(void)
{
	__atomic_add_fetch(&threads_shared.generation, 1, __ATOMIC_ACQ_REL);
	os_futex_wake(&threads_shared.generation, INT_MAX);
}

/* ---- Describing ---- */

uint64_t threads_read_pending(uint32_t tid)
{
	static char text[4096] OURS;
	uint64_t mask = 0;

	os_read_thread(tid, "status", text, sizeof(text));
	const char *at = strstr(text, "SigPnd:");
	for (at = at ? at + 8 : ""; *at; at++) {
		const char *digit = strchr("0123456789abcdef", *at);
		if (!digit)
			break;
		mask = mask << 4 | (uint64_t)(digit - "0123456789abcdef");
	}
	return mask;
}

uint64_t threads_blocked(void)
{
	uint64_t blocked = ~UINT64_C(0);

	for (uint32_t i = 0; i < threads_shared.count; i++)
		if (!has_ended(thread_at(i)))
			blocked &= thread_at(i)->record.blocked;
	return blocked;
}

static bool has_directed_signals(void)
{
	return __atomic_load_n(&threads_calls.signals_begun, __ATOMIC_RELAXED) !=
	       threads_shared.signals_ended;
}

/* What came with a signal the kernel does not tell; numbers from 32 on are sent for that. Nor does
 * it tell where whoever is not libc has it note the processor: he would go on with an old one. */
static void veto_what_is_lost(struct ledger_writer *writer, const struct thread_record *record)
{
	char tid[16];
	struct line line = line_in(tid, sizeof(tid));

	if (!(record->flags & THREAD_HAS_OWN_RSEQ) && !(record->pending & ~UINT64_C(0) << 31))
		return;
	line_add_number(&line, record->tid, 10);
	if (record->flags & THREAD_HAS_OWN_RSEQ)
		ledger_veto(writer, "restartable sequences that are not libc's (rseq)", tid);
	else
		ledger_veto(writer, "a signal with a value for one thread", tid);
}

/* What is blocked everywhere and waits for the process is no thread's own. */
void threads_save(struct ledger_writer *writer)
{
	const uint64_t shared = os_sigpending();
	const bool look_again = has_directed_signals();

	for (uint32_t i = 0; i < threads_shared.count; i++) {
		struct thread_record *record = ledger_put(writer, LEDGER_THREAD, sizeof(*record));
		*record = thread_at(i)->record;
		record->flags &= ~(uint32_t)THREAD_IS_DUMPABLE;
		if (record->flags & THREAD_IS_MAIN && threads_shared.is_dumpable)
			record->flags |= THREAD_IS_DUMPABLE;
		if (look_again || record->pending & ~shared)
			record->pending = threads_read_pending(record->tid);
		else
			record->pending = 0;
		record->pending &= ~signals_deadly(record->pending & ~record->blocked);
		veto_what_is_lost(writer, record);
	}
}
