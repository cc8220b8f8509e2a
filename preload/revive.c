/*
 * The problem: an epoch may hold a mutex as locked, by a thread that had it for life or waited for
 * the epoch, and a condition with waiters; the process that goes on from it has neither the thread
 * nor the waiters, and would wait for them for ever. Nobody says where in the memory the locks are.
 * The trick: a lock that no thread of this run has used cannot be held in this run; so at its first
 * use, whatever it says, it is set to unlocked. A table of addresses tells first uses. The
 * guarantee: mutexes, rwlocks, spin locks and conditions of kept memory work after a restart,
 * their attributes as they were. Semaphores and barriers are counters: they say what they said.
 *
 * Before main a kept global is not yet what the epoch has of it: its first use is one after that.
 *
 * A robust mutex is unlocked like the others, without EOWNERDEAD: data under it is whole, since no
 * epoch falls into a hold. When the table is full, later locks are left alone.
 */
#include "revive.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "keep.h"
#include "libc-main.h"
#include "os.h"

#define SLOTS (UINT64_C(1) << 20)
#define PROBES_MAX 64
#define UNDER_WAY 1u /* in a slot: not yet revived; locks are aligned */
#define PRIO_PROTECT 64 /* of a mutex' kind; its ceiling stands in the lock word */
#define CEILING_MASK 0xfff80000

static _Atomic uintptr_t *slots;

int revive_init(void)
{
	void *memory = os_reserve(SLOTS * sizeof(*slots));

	if (os_is_error(memory))
		return (int)(intptr_t)memory;
	slots = memory;
	return 0;
}

/* ---- What unlocked means, in glibc ---- */

static void unlock_mutex(pthread_mutex_t *mutex)
{
	const int kind = mutex->__data.__kind;
	const int ceiling = kind & PRIO_PROTECT ? mutex->__data.__lock & (int)CEILING_MASK : 0;

	memset(&mutex->__data, 0, sizeof(mutex->__data));
	mutex->__data.__kind = kind;
	mutex->__data.__lock = ceiling;
}

static void unlock_rwlock(pthread_rwlock_t *rwlock)
{
	const unsigned flags = rwlock->__data.__flags;
	const int shared = rwlock->__data.__shared;

	memset(&rwlock->__data, 0, sizeof(rwlock->__data));
	rwlock->__data.__flags = flags;
	rwlock->__data.__shared = shared;
}

/* Of its words one has attributes, in the two lowest bits: shared, and the clock. */
static void forget_waiters(pthread_cond_t *cond)
{
	const unsigned attributes = cond->__data.__wrefs & 3;

	memset(&cond->__data, 0, sizeof(cond->__data));
	cond->__data.__wrefs = attributes;
}

static void set_unused(void *lock, enum revive_kind kind)
{
	switch (kind) {
	case REVIVE_MUTEX:
		unlock_mutex(lock);
		return;
	case REVIVE_RWLOCK:
		unlock_rwlock(lock);
		return;
	case REVIVE_SPIN:
		pthread_spin_init(lock, PTHREAD_PROCESS_PRIVATE);
		return;
	case REVIVE_COND:
		forget_waiters(lock);
		return;
	}
}

static size_t bytes_of(enum revive_kind kind)
{
	return kind == REVIVE_SPIN ? sizeof(pthread_spinlock_t) : sizeof(pthread_mutex_t);
}

/* ---- First uses ---- */

static void wait_until_revived(const _Atomic uintptr_t *slot)
{
	while (atomic_load_explicit(slot, memory_order_acquire) & UNDER_WAY)
		__builtin_ia32_pause();
}

void revive_known(void *lock, enum revive_kind kind)
{
	const uintptr_t address = (uintptr_t)lock;
	size_t at = (size_t)((address >> 3) * UINT64_C(0x9e3779b97f4a7c15) >> 44);

	if (!slots)
		return;
	for (unsigned i = 0; i < PROBES_MAX; i++, at = (at + 1) & (SLOTS - 1)) {
		uintptr_t found = atomic_load_explicit(&slots[at], memory_order_acquire);
		if (likely(found == address))
			return;
		if (found == 0 && !main_has_begun() && !heap_has(lock))
			return;
		if (found == 0 && atomic_compare_exchange_strong(&slots[at], &found,
								 address | UNDER_WAY)) {
			if (heap_has(lock) || keep_has(lock, bytes_of(kind)))
				set_unused(lock, kind);
			atomic_store_explicit(&slots[at], address, memory_order_release);
			return;
		}
		if ((found & ~(uintptr_t)UNDER_WAY) == address) {
			wait_until_revived(&slots[at]);
			return;
		}
	}
}
