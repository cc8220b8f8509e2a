/*
 * Standing: a thread's own side of being stopped.
 *
 * The problem: in its handler a thread has microseconds, and must not touch anything a section of
 * ours may be in the middle of. The trick: the kernel has saved its registers, mask and alternate
 * stack in the frame it returns from; only what no frame holds is noted, and what rarely changes is
 * noted rarely. Then it marks its place, says that it stands, and waits. The guarantee: whoever
 * jumps to that place, in whatever process has the same memory, is that thread, and waits as well.
 */
#include "threads-parts.h"

#include <asm/hwcap2.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "ours.h"
#include "process.h"

#define RARELY 16 /* stops between two looks at what rarely changes */

struct threads_shared threads_shared OURS;

struct threads_calls threads_calls;

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
	if (os_get_scheduling(0, at) == 0 && (at->policy || at->nice || at->flags))
		record->flags |= THREAD_HAS_SCHEDULING;
	else
		memset(at, 0, sizeof(*at));
}

/* The kernel does not tell where it is, only whether it is this one, none (0) or another. Where
 * libc has none, one that is nobody's is asked for. */
static void note_rseq(struct thread_record *record)
{
	static char nobodys[32] OURS __attribute__((aligned(32)));
	const uint32_t libcs = threads_shared.rseq_bytes, bytes = libcs ? libcs : sizeof(nobodys);
	const uint64_t area = libcs ? record->fs + (uint64_t)threads_shared.rseq_offset
				    : (uintptr_t)nobodys;
	const int error = os_rseq_register(area, bytes);

	if (error == 0)
		os_rseq_unregister(area, bytes);
	else if (error == -EINVAL)
		record->flags |= THREAD_HAS_OWN_RSEQ;
	record->rseq = error == -EBUSY ? area : 0;
	record->rseq_bytes = error == -EBUSY ? bytes : 0;
}

/* All who do say the same. */
static bool speaks_for_all(const struct thread_record *record)
{
	return record->flags & THREAD_IS_MAIN || threads_shared.main_has_ended;
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
	if (os_prctl(PR_GET_NO_NEW_PRIVS, 0, 0) == 1)
		record->flags |= THREAD_HAS_NO_NEW_PRIVILEGES;
	threads_shared.is_dumpable = os_prctl(PR_GET_DUMPABLE, 0, 0) == 1;
	memset(record->name, 0, sizeof(record->name));
	os_prctl(PR_GET_NAME, (uintptr_t)record->name, 0);
	os_prctl(PR_GET_PDEATHSIG, (uintptr_t)&record->parent_death_signal, 0);
	os_get_capabilities(&record->capabilities);
	note_rseq(record);
	note_affinity(record);
	note_scheduling(record);
	if (threads_told.what & ~(uint32_t)PROCESS_TOLD_USUAL)
		told_note(&record->told, speaks_for_all(record));
}

/* A resume must never run with rights that were given up before the cut. */
static bool note_credentials(struct thread_record *record)
{
	const struct os_credentials before = record->credentials;

	os_get_credentials(&record->credentials);
	return memcmp(&before, &record->credentials, sizeof(before)) != 0;
}

static void note(struct thread *self, uint32_t generation)
{
	struct thread_record *record = &self->record;
	/* First: another thread that does not stand yet may be telling something of this one. */
	const uint32_t age = __atomic_load_n(&threads_told.age, __ATOMIC_ACQUIRE);
	const bool is_somebody_else = note_credentials(record);

	if (threads_shared.has_fsgsbase) {
		record->fs = frame_fs();
		record->gs = frame_gs();
	}
	if (ours_self.noted != self->birth || is_somebody_else || generation % RARELY == 0 ||
	    self->told != age)
		note_rare(record);
	ours_self.noted = self->birth;
	self->told = age;
	record->pending = os_sigpending();
	if (speaks_for_all(record))
		threads_shared.group_count = os_get_groups(threads_shared.groups, THREADS_GROUPS_MAX);
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
	struct thread *made = frame_mark(&self->record.frame);
	if (!made) {
		__atomic_store_n(&self->stands, generation, __ATOMIC_RELEASE);
		absent_come(&threads_shared.absent, generation);
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

	if (info->si_code != SI_QUEUE || value >> 48 != THREADS_MARK) {
		if ((uintptr_t)next.handler > (uintptr_t)SIG_IGN)
			next.handler(number, info, context);
		return;
	}
	ours_self.stops++;
	ours_self.stopped_at = frame_return(context);
	if (ours_self.depth != 0) {
		ours_self.put_off = (uintptr_t)value;
		return;
	}
	const uint32_t generation = (uint32_t)(value >> 16);
	if (generation != __atomic_load_n(&threads_shared.generation, __ATOMIC_ACQUIRE))
		return;
	struct thread *self = &threads_shared.threads[value & (THREADS_MAX - 1)];
	self->record.blocked = frame_blocked(context);
	stand(self, generation);
}

void threads_arm(void)
{
	struct os_sigaction now;

	if (os_sigaction(OURS_STOP_SIGNAL, NULL, &now) != 0 || now.handler == handle)
		return;
	next = now;
	os_sigaction(OURS_STOP_SIGNAL, handle, NULL);
}

/* It may have been installed over nothing. */
void threads_forget(void)
{
	struct os_sigaction now;

	if (os_sigaction(OURS_STOP_SIGNAL, NULL, &now) == 0 && now.handler == handle)
		os_sigaction_set(OURS_STOP_SIGNAL, &next);
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

int threads_open(void)
{
	uint64_t fs, gs;

	threads_shared.threads = os_reserve(THREADS_MAX * sizeof(struct thread));
	threads_shared.order = os_reserve(THREADS_MAX * sizeof(uint16_t));
	threads_shared.free = os_reserve(THREADS_MAX * sizeof(uint16_t));
	if (os_is_error(threads_shared.threads) || os_is_error(threads_shared.order) ||
	    os_is_error(threads_shared.free))
		return -ENOMEM;
	/* One that was put off when the image was taken is none of this life's. */
	os_getrandom(&threads_shared.generation, sizeof(threads_shared.generation));
	threads_shared.pid = os_getpid();
	threads_shared.has_fsgsbase = (getauxval(AT_HWCAP2) & FRAME_HWCAP2_FSGSBASE) != 0;
	os_get_affinity(0, threads_shared.usual_affinity, sizeof(threads_shared.usual_affinity));
	if (os_get_fs(&fs, &gs) == 0)
		find_rseq(fs);
	threads_arm();
	return 0;
}
