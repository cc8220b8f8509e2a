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

#include <asm/hwcap2.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "line.h"
#include "ours.h"

#define MARK UINT64_C(0x6b70) /* "kp": ours, not libc's; value: mark, generation, place */
#define FIRST_HOLD_NS UINT64_C(20000000)
#define SPIN_NS UINT64_C(15000)
#define LOOK_AGAIN_NS 500000
#define RARELY 16 /* stops between two looks at what rarely changes */

struct threads_shared threads_shared OURS;

/* ---- In the handler: the thread's own side ---- */

static struct os_sigaction next; /* libc's; of the image, as is the libc that installed it */

static void note_affinity(struct thread_record *record)
{
	const size_t bytes = sizeof(record->affinity);

	memset(record->affinity, 0, bytes);
	if (os_get_affinity(0, record->affinity, bytes) > 0 &&
	    memcmp(record->affinity, threads_shared.usual_affinity, bytes) != 0)
		record->flags |= THREAD_HAS_AFFINITY;
	else
		memset(record->affinity, 0, bytes);
}

static void note_scheduling(struct thread_record *record)
{
	struct os_scheduling *at = &record->scheduling;

	memset(at, 0, sizeof(*at));
	if (os_get_scheduling(0, at) == 0 && (at->policy != 0 || at->nice != 0))
		record->flags |= THREAD_HAS_SCHEDULING;
	else
		memset(at, 0, sizeof(*at));
}

/* The kernel does not tell where it is, only whether it is there. */
static void note_rseq(struct thread_record *record)
{
	const uint64_t area = record->fs + (uint64_t)threads_shared.rseq_offset;
	const uint32_t bytes = threads_shared.rseq_bytes;
	int error = -EINVAL;

	if (bytes && (error = os_rseq_register(area, bytes)) == 0)
		os_rseq_unregister(area, bytes);
	record->rseq = error == -EBUSY ? area : 0;
	record->rseq_bytes = error == -EBUSY ? bytes : 0;
}

/* What libc sets when a thread begins, and what hardly any program ever changes. */
static void note_rare(struct thread_record *record)
{
	if (!threads_shared.has_fsgsbase)
		os_get_fs(&record->fs, &record->gs);
	os_get_robust_list(&record->robust_list, &record->robust_bytes);
	os_prctl(PR_GET_TID_ADDRESS, (uintptr_t)&record->tid_address, 0);
	record->timer_slack_ns = (uint32_t)os_prctl(PR_GET_TIMERSLACK, 0, 0);
	record->flags = record->tid == (uint32_t)threads_shared.pid ? THREAD_IS_MAIN : 0;
	note_rseq(record);
	note_affinity(record);
	note_scheduling(record);
}

static void note(struct thread *self, uint32_t generation)
{
	struct thread_record *record = &self->record;

	if (threads_shared.has_fsgsbase) {
		record->fs = os_fs_base();
		record->gs = os_gs_base();
	}
	if (ours_self.noted != self->birth || generation % RARELY == 0)
		note_rare(record);
	ours_self.noted = self->birth;
	memset(record->name, 0, sizeof(record->name));
	os_prctl(PR_GET_NAME, (uintptr_t)record->name, 0);
	record->pending = os_sigpending();
}

static void say_here(void)
{
	if (__atomic_sub_fetch(&threads_shared.absent, 1, __ATOMIC_ACQ_REL) == THREADS_SLEEPS)
		os_futex_wake(&threads_shared.absent, 1);
}

static void wait_while(uint32_t *word, uint32_t value)
{
	while (__atomic_load_n(word, __ATOMIC_ACQUIRE) == value)
		os_futex_wait(word, value, NULL);
}

/* Stands here until released; or is jumped to, in another life, by who has its record there. */
static void stand(struct thread *self, uint32_t generation)
{
	note(self, generation);
	struct thread *made = os_frame_mark(&self->record.frame);
	if (!made) {
		__atomic_store_n(&self->stands, generation, __ATOMIC_RELEASE);
		say_here();
		wait_while(&threads_shared.generation, generation);
		return;
	}
	ours_self.noted = made->birth;
	__atomic_add_fetch(&threads_shared.made, 1, __ATOMIC_ACQ_REL);
	os_futex_wake(&threads_shared.made, 1);
	wait_while(&threads_shared.may_go, 0);
}

static void handle(int number, siginfo_t *info, void *context)
{
	const uint64_t value = (uintptr_t)info->si_value.sival_ptr;

	if (info->si_code != SI_QUEUE || value >> 48 != MARK) {
		if ((uintptr_t)next.handler > (uintptr_t)SIG_IGN)
			next.handler(number, info, context);
		return;
	}
	if (ours_self.depth != 0) {
		ours_self.put_off = (uintptr_t)value;
		return;
	}
	const uint32_t generation = (uint32_t)(value >> 16);
	if (generation == __atomic_load_n(&threads_shared.generation, __ATOMIC_ACQUIRE))
		stand(&threads_shared.threads[value & (THREADS_MAX - 1)], generation);
}

/* libc installs its own when the first thread is made, and makes some for itself. */
static void arm(void)
{
	struct os_sigaction now;

	if (os_sigaction(OURS_STOP_SIGNAL, NULL, &now) != 0 || now.handler == handle)
		return;
	next = now;
	os_sigaction(OURS_STOP_SIGNAL, handle, NULL);
}

/* ---- Opening ---- */

extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned __rseq_size __attribute__((weak));

/* libc does not say how much of it the kernel was told. */
static void find_rseq(uint64_t fs)
{
	static const uint32_t sizes[] = {32, 64, 96, 128};

	threads_shared.rseq_bytes = 0;
	if (!&__rseq_size || !&__rseq_offset || __rseq_size == 0)
		return;
	threads_shared.rseq_offset = __rseq_offset;
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		if (os_rseq_register(fs + (uint64_t)__rseq_offset, sizes[i]) == -EBUSY)
			threads_shared.rseq_bytes = sizes[i];
}

static void *reserve(size_t bytes)
{
	return os_mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

int threads_open(void)
{
	uint64_t fs, gs;

	threads_shared.threads = reserve(THREADS_MAX * sizeof(struct thread));
	threads_shared.order = reserve(THREADS_MAX * sizeof(uint16_t));
	threads_shared.free = reserve(THREADS_MAX * sizeof(uint16_t));
	if (os_is_error(threads_shared.threads) || os_is_error(threads_shared.order) ||
	    os_is_error(threads_shared.free))
		return -ENOMEM;
	threads_shared.generation = 1;
	threads_shared.pid = os_getpid();
	threads_shared.has_fsgsbase = (getauxval(AT_HWCAP2) & OS_HWCAP2_FSGSBASE) != 0;
	os_get_affinity(0, threads_shared.usual_affinity, sizeof(threads_shared.usual_affinity));
	if (os_get_fs(&fs, &gs) == 0)
		find_rseq(fs);
	arm();
	return 0;
}

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

/* ---- The committer's side ---- */

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

static long read_of(const struct thread *thread, const char *what, char *buffer, size_t len)
{
	char path[64];
	struct line at = line_in(path, sizeof(path));

	line_add(&at, "/proc/self/task/");
	line_add_number(&at, thread->record.tid, 10);
	line_add(&at, what);
	const long have = os_read_file(path, buffer, len - 1);
	buffer[have > 0 ? have : 0] = 0;
	return have;
}

/* A main thread that has ended stays as long as others run. */
static bool is_zombie(const struct thread *thread)
{
	char text[128];

	if (thread->record.tid != (uint32_t)threads_shared.pid)
		return false;
	long i = read_of(thread, "/stat", text, sizeof(text)) - 1;
	while (i > 0 && text[i] != ')') /* the name's end, whatever is in it */
		i--;
	return i > 0 && i + 2 < (long)sizeof(text) && text[i + 2] == 'Z';
}

/* False: there is no such thread any more. */
static bool send(struct thread *thread, bool *ret_is_refused)
{
	const uint64_t value = MARK << 48 | (uint64_t)threads_shared.generation << 16 |
			       (uint64_t)(thread - threads_shared.threads);

	if (has_ended(thread)) {
		thread->stands = threads_shared.generation;
		return true;
	}
	__atomic_add_fetch(&threads_shared.absent, 1, __ATOMIC_ACQ_REL);
	const int error = os_tgsigqueue((int)thread->record.tid, OURS_STOP_SIGNAL,
					(void *)(uintptr_t)value);
	if (error == 0)
		return true;
	__atomic_sub_fetch(&threads_shared.absent, 1, __ATOMIC_ACQ_REL);
	*ret_is_refused |= error != -ESRCH; /* too many signals wait somewhere */
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
		__atomic_sub_fetch(&threads_shared.absent, 1, __ATOMIC_ACQ_REL);
		return false;
	}
	if (is_zombie(thread)) {
		thread->record.flags = THREAD_IS_MAIN | THREAD_HAS_ENDED;
		thread->record.frame = (struct os_frame){0};
		thread->stands = threads_shared.generation;
		__atomic_sub_fetch(&threads_shared.absent, 1, __ATOMIC_ACQ_REL);
	}
	return true;
}

static bool spin_for_absent(void)
{
	const uint64_t until = os_clock_ns(CLOCK_MONOTONIC) + SPIN_NS;

	do {
		for (unsigned i = 0; i < 64; i++) {
			if (__atomic_load_n(&threads_shared.absent, __ATOMIC_ACQUIRE) == 0)
				return true;
			os_relax();
		}
	} while (os_clock_ns(CLOCK_MONOTONIC) < until);
	return false;
}

/* All who were signalled have come, or ended. */
static bool wait_for_absent(uint64_t until_ns)
{
	const struct timespec look_again = {.tv_nsec = LOOK_AGAIN_NS};
	uint32_t *absent = &threads_shared.absent;
	bool unused;

	if (spin_for_absent())
		return true;
	for (;;) {
		const uint32_t now = __atomic_or_fetch(absent, THREADS_SLEEPS, __ATOMIC_ACQ_REL);
		long result = 0;
		if (now != THREADS_SLEEPS)
			result = os_futex_wait(absent, now, &look_again);
		if (__atomic_and_fetch(absent, ~THREADS_SLEEPS, __ATOMIC_ACQ_REL) == 0)
			return true;
		if (result == -ETIMEDOUT)
			keep_only(is_still_there, &unused);
		if (os_clock_ns(CLOCK_MONOTONIC) >= until_ns)
			return false;
	}
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
	const int fd = os_open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
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
	return is_refused ? -EAGAIN : (int)len;
}

static bool stop_until(uint64_t until_ns)
{
	bool is_refused = false;

	__atomic_store_n(&threads_shared.absent, 0, __ATOMIC_RELEASE);
	keep_only(send, &is_refused);
	while (!is_refused && wait_for_absent(until_ns)) {
		if (count_others() == threads_shared.count)
			return true;
		if (os_clock_ns(CLOCK_MONOTONIC) >= until_ns || send_to_new() < 0)
			return false;
	}
	return false;
}

/* ---- Giving up ---- */

static void name_thread(struct line *line, const struct thread *thread)
{
	char name[32], call[128], where[64];

	long len = read_of(thread, "/comm", name, sizeof(name));
	name[len > 0 ? len - 1 : 0] = 0;
	read_of(thread, "/syscall", call, sizeof(call));
	char *end = call; /* of the number */
	while (*end >= '0' && *end <= '9')
		end++;
	*end = 0;
	len = read_of(thread, "/wchan", where, sizeof(where));
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

	for (uint32_t i = 0; i < threads_shared.count && !line.len; i++)
		if (!has_come(thread_at(i)))
			name_thread(&line, thread_at(i));
	if (!line.len)
		line_add(&line, count_others() ? "threads begin and end faster than they can be stopped" :
						 "/proc/self/task cannot be read");
}

int threads_stop(uint64_t patience_ns, char why[192])
{
	const uint64_t began = os_clock_ns(CLOCK_MONOTONIC), end = began + patience_ns;
	uint64_t hold_ns = FIRST_HOLD_NS;

	arm();
	for (uint64_t now = began;; now = os_clock_ns(CLOCK_MONOTONIC), hold_ns *= 2) {
		const uint64_t until = now + hold_ns < end ? now + hold_ns : end;
		if (stop_until(until))
			return 0;
		if (os_clock_ns(CLOCK_MONOTONIC) >= end)
			name_culprit(why);
		threads_release();
		if (os_clock_ns(CLOCK_MONOTONIC) >= end)
			return -EAGAIN;
		os_sleep_ns(hold_ns / 8); /* for whoever is waited for */
	}
}

void threads_release(void)
{
	__atomic_add_fetch(&threads_shared.generation, 1, __ATOMIC_ACQ_REL);
	os_futex_wake(&threads_shared.generation, INT_MAX);
}

/* What is blocked everywhere and waits for the process is no thread's own. */
void threads_save(struct ledger_writer *writer)
{
	const uint64_t shared = os_sigpending();

	for (uint32_t i = 0; i < threads_shared.count; i++) {
		struct thread_record *record = ledger_put(writer, LEDGER_THREAD, sizeof(*record));
		*record = thread_at(i)->record;
		record->pending &= ~shared;
		if (record->pending & UINT64_C(1) << (OURS_STOP_SIGNAL - 1))
			ledger_veto(writer, "user or group ids are being changed", NULL);
	}
}
