/*
 * Calls that say something of memory: that its contents are not wanted any more (under keep=process
 * they must not come back), or how the kernel is to treat it, which nobody could ask it for later
 * (process/advice.c). Call and note are one section of ours: no cut falls between them.
 *
 * Under every keep, pages of the heap that are given back are the heap's business (memory.c).
 */
#include "advice-calls.h"

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "maps.h"
#include "os.h"
#include "ours.h"
#include "preload.h"
#include "process/process.h"
#include "real.h"
#include "task.h"

#ifndef SYS_mseal
#define SYS_mseal 462
#endif

static bool is_forgetful(int advice)
{
	return advice == MADV_DONTNEED || advice == MADV_REMOVE || advice == 24 /* ..._LOCKED */ ||
	       advice == 102 /* MADV_GUARD_INSTALL */;
}

/* What may be emptied at any time is at once: of that nobody would be told. */
static bool is_forgotten(void *addr, size_t len, int advice)
{
	return (advice == MADV_DONTNEED || advice == MADV_FREE || advice == 24) &&
	       memory_forget(addr, len);
}

INTERPOSE int madvise(void *addr, size_t len, int advice)
{
	if (unlikely(is_forgotten(addr, len, advice)))
		return 0;
	if (likely(!process_is_kept))
		return REAL(madvise)(addr, len, advice);
	ours_enter();
	const int error = os_madvise(addr, len, advice);
	if (!error || error == -ENOMEM) { /* what lies around a hole has heard it */
		if (is_forgetful(advice))
			process_note_mapping(addr, len);
		process_note_advice(addr, len, advice);
	}
	ours_leave();
	if (!error)
		return 0;
	errno = -error;
	return -1;
}

INTERPOSE int mlock(const void *addr, size_t len)
{
	ours_enter();
	const int result = REAL(mlock)(addr, len);
	if (unlikely(process_is_kept) && result == 0)
		process_note_locked(addr, len, PROCESS_LOCKED);
	ours_leave();
	return result;
}

INTERPOSE int mlock2(const void *addr, size_t len, unsigned flags)
{
	ours_enter();
	const int result = REAL(mlock2)(addr, len, flags);
	if (unlikely(process_is_kept) && result == 0)
		process_note_locked(addr, len, flags & MLOCK_ONFAULT ? PROCESS_LOCKED_ON_FAULT :
								       PROCESS_LOCKED);
	ours_leave();
	return result;
}

INTERPOSE int munlock(const void *addr, size_t len)
{
	ours_enter();
	const int result = REAL(munlock)(addr, len);
	if (unlikely(process_is_kept) && result == 0)
		process_note_locked(addr, len, PROCESS_UNLOCKED);
	ours_leave();
	return result;
}

/* ENOMEM is more than is allowed, or pages that cannot be there at all: the latter is no error. */
static int lock_map(const struct map *map, int flags)
{
	const size_t len = map->end - map->start;
	void *const start = (void *)map->start; /* NOLINT(performance-no-int-to-ptr) */
	int error = os_mlock(start, len, flags & MCL_ONFAULT ? MLOCK_ONFAULT : 0);

	if (error == -ENOMEM || error == -EAGAIN)
		error = os_mlock(start, len, MLOCK_ONFAULT);
	return error;
}

static int add_map(const struct map *map, uint64_t *sum)
{
	*sum += map->end - map->start;
	return 0;
}

/* What is the program's: ours has room for far more than it ever uses. */
static int lock_each(bool is_for_sum, int flags, uint64_t *sum)
{
	struct maps maps;
	struct map map;
	int error = maps_open(&maps);

	if (error)
		return error;
	while (!error && maps_next(&maps, &map))
		if (!ours_has(map.start) && !map.is_closed && map.end <= INTPTR_MAX)
			error = is_for_sum ? add_map(&map, sum) : lock_map(&map, flags);
	maps_close(&maps);
	return error;
}

/* All or nothing, as the kernel has it. */
static int lock_current(int flags)
{
	struct rlimit limit;
	uint64_t sum = 0;
	int error = lock_each(true, flags, &sum);

	if (!error && os_geteuid() != 0 && os_getrlimit(RLIMIT_MEMLOCK, &limit) == 0 &&
	    sum > limit.rlim_cur)
		error = limit.rlim_cur ? -ENOMEM : -EPERM;
	return error ? error : lock_each(false, flags, NULL);
}

static int lock_all(int flags)
{
	const int error = flags & MCL_CURRENT ? lock_current(flags) : 0;

	if (!error)
		return flags & MCL_FUTURE ? REAL(mlockall)(flags & ~MCL_CURRENT) : 0;
	errno = -error;
	return -1;
}

INTERPOSE int mlockall(int flags)
{
	const bool is_kind = flags & (MCL_CURRENT | MCL_FUTURE) &&
			     !(flags & ~(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT));

	if (likely(!process_is_kept) || !is_kind)
		return REAL(mlockall)(flags);
	ours_enter();
	const int result = lock_all(flags);
	if (result == 0)
		process_note_locked_all(flags);
	ours_leave();
	return result;
}

INTERPOSE int munlockall(void)
{
	ours_enter();
	const int result = REAL(munlockall)();
	if (unlikely(process_is_kept) && result == 0)
		process_note_locked_all(0);
	ours_leave();
	return result;
}

/* ---- Where pages lie; what nobody may change any more ---- */

static int fail(int error)
{
	errno = -error;
	return -1;
}

/* libnuma has it, and comes by syscall(). */
static long bind(long addr, long len, long mode, long nodes, long count, long flags)
{
	ours_enter();
	const long error = os_call(SYS_mbind, addr, len, mode, nodes, count, flags);
	if (error == 0 && process_is_kept)
		process_note_policy((void *)addr, (size_t)len, (int)mode, (void *)nodes, /* NOLINT */
				    (uint64_t)count);
	ours_leave();
	return error ? fail((int)error) : 0;
}

int mseal(void *addr, size_t len, unsigned long flags); /* glibc 2.41 */
INTERPOSE int mseal(void *addr, size_t len, unsigned long flags)
{
	ours_enter();
	const long error = flags ? -EINVAL : os_mseal(addr, len);
	if (error == 0 && process_is_kept)
		process_note_sealed(addr, len);
	ours_leave();
	return error ? fail((int)error) : 0;
}

/* ---- By number ---- */

bool advice_is_call(long number)
{
	switch (number) {
	case SYS_madvise:
	case SYS_mlock:
	case SYS_mlock2:
	case SYS_munlock:
	case SYS_mlockall:
	case SYS_munlockall:
	case SYS_mbind:
	case SYS_mseal:
		return true;
	default:
		return false;
	}
}

long advice_call(long number, long a, long b, long c, long d, long e, long f)
{
	void *const addr = (void *)a; /* NOLINT(performance-no-int-to-ptr) */

	switch (number) {
	case SYS_madvise:
		return madvise(addr, (size_t)b, (int)c);
	case SYS_mlock:
		return mlock(addr, (size_t)b);
	case SYS_mlock2:
		return mlock2(addr, (size_t)b, (unsigned)c);
	case SYS_munlock:
		return munlock(addr, (size_t)b);
	case SYS_mlockall:
		return mlockall((int)a);
	case SYS_mbind:
		return bind(a, b, c, d, e, f);
	case SYS_mseal:
		return mseal(addr, (size_t)b, (unsigned long)c);
	default:
		return munlockall();
	}
}
