/*
 * A thread's record, in which it says where it stands (cut-thread.c).
 *
 * The problem: threads come and go, unknown to anybody until they first say something, and the dead
 * do not take leave. The trick: a record is claimed by writing one's id into it; whoever finds none
 * free takes that of a thread the kernel no longer knows. The guarantee: two living threads never
 * have the same one, and a signal handler may take its thread's at any instant.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "cut-gate.h"
#include "os.h"

bool cut_is_on;
_Thread_local struct cut_thread *cut_self __attribute__((tls_model("initial-exec")));
struct cut_shared cut_shared;

/* A page with something in it, of which a forked child gets an empty one. */
static const char *page_wiped_on_fork(void)
{
	char *page = os_mmap(NULL, OS_PAGE_BYTES, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (os_is_error(page) || os_madvise(page, OS_PAGE_BYTES, MADV_WIPEONFORK) != 0)
		return NULL;
	page[0] = 1;
	return page;
}

int cut_open(bool (*is_busy)(uintptr_t pc), void (*arm)(void))
{
	const char *here = page_wiped_on_fork();
	void *memory = os_mmap(NULL, (CUT_THREADS_MAX + 1) * sizeof(struct cut_thread),
			       PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			       -1, 0);

	if (!here || os_is_error(memory))
		return -ENOMEM;
	cut_shared = (struct cut_shared){
		.threads = memory, .pid = os_getpid(), .here = here, .is_busy = is_busy, .arm = arm};
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

static bool record_claim(struct cut_thread *record, uint32_t from, uint32_t tid)
{
	return __atomic_compare_exchange_n(&record->tid, &from, tid, false, __ATOMIC_ACQ_REL,
					   __ATOMIC_RELAXED);
}

/* Nobody may have asked for a cut in a long time, which is when records of the dead become free. It
 * counts as running before it is anybody's, as whoever takes it does. */
static bool record_claim_dead(struct cut_thread *record, uint32_t tid)
{
	const uint32_t other = __atomic_load_n(&record->tid, __ATOMIC_RELAXED);

	if (os_tgkill((int)other, 0) != -ESRCH)
		return false;
	cut_state_set(record, CUT_RUNNING);
	return record_claim(record, other, tid);
}

static struct cut_thread *record_find(uint32_t top, uint32_t tid)
{
	for (uint32_t i = 0; i < top; i++)
		if (__atomic_load_n(&cut_shared.threads[i].tid, __ATOMIC_RELAXED) == tid)
			return &cut_shared.threads[i];
	for (uint32_t i = 0; i < top; i++)
		if (record_claim(&cut_shared.threads[i], 0, tid))
			return &cut_shared.threads[i];
	for (uint32_t i = 0; i < top && top >= CUT_THREADS_MAX / 16; i++)
		if (record_claim_dead(&cut_shared.threads[i], tid))
			return &cut_shared.threads[i];
	return NULL;
}

/* Beyond the last one, one that is nobody's: no cut comes to be any more, so it does not matter
 * what is in it. */
static struct cut_thread *record_take(uint32_t tid)
{
	for (;;) {
		uint32_t top = __atomic_load_n(&cut_shared.thread_top, __ATOMIC_ACQUIRE);
		struct cut_thread *found = record_find(top, tid);
		if (found)
			return found;
		if (top == CUT_THREADS_MAX) {
			cut_shared.is_overfull = true;
			return &cut_shared.threads[top];
		}
		__atomic_compare_exchange_n(&cut_shared.thread_top, &top, top + 1, false,
					    __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
	}
}

struct cut_thread *cut_thread_new(void)
{
	struct cut_thread *self = record_take((uint32_t)os_gettid());
	char *const after_tid = (char *)&self->tid + sizeof(self->tid);

	if (cut_self && cut_self != self) { /* the stop signal's handler was faster */
		__atomic_store_n(&self->tid, 0, __ATOMIC_RELEASE);
		return cut_self;
	}
	cut_state_set(self, CUT_RUNNING);
	memset(after_tid, 0, (size_t)((char *)(self + 1) - after_tid));
	cut_self = self;
	return self;
}
