/*
 * Calls that change what is mapped, or what is in it, without a store: under keep=process a page
 * that is gone must not come back in what stands at its place now. The kernel's list of mappings
 * shows most of it, but not pages given back, nor a mapping replaced by its like; so the call says
 * it. Call and note are one section of ours: no cut falls between them.
 */
#include "preload.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/shm.h>

#include "os.h"
#include "ours.h"
#include "process/process.h"
#include "real.h"

static void *finish(void *result)
{
	if (!os_is_error(result))
		return result;
	errno = -(int)(intptr_t)result;
	return MAP_FAILED;
}

static void *map(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	/* Without a place os_mmap() would take one of ours. */
	if (likely(!process_is_kept || !(flags & MAP_FIXED)))
		return REAL(mmap)(addr, len, prot, flags, fd, offset);
	ours_enter();
	void *mapped = os_mmap(addr, len, prot, flags, fd, (uint64_t)offset);
	if (!os_is_error(mapped))
		process_note_mapping(mapped, len);
	ours_leave();
	return finish(mapped);
}

/* One function, two names; which of them the header means by mmap is its own affair. */
typedef void *mmap_function(void *addr, size_t len, int prot, int flags, int fd, off_t offset);
mmap_function preload_mmap __asm__("mmap");
mmap_function preload_mmap64 __asm__("mmap64");

INTERPOSE void *preload_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	return map(addr, len, prot, flags, fd, offset);
}

INTERPOSE void *preload_mmap64(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	return map(addr, len, prot, flags, fd, offset);
}

INTERPOSE int munmap(void *addr, size_t len)
{
	if (likely(!process_is_kept))
		return REAL(munmap)(addr, len);
	ours_enter();
	const int error = os_munmap(addr, len);
	if (!error)
		process_note_mapping(addr, len);
	ours_leave();
	return finish((void *)(intptr_t)error) == MAP_FAILED ? -1 : 0;
}

INTERPOSE void *mremap(void *from, size_t from_len, size_t len, int flags, ...)
{
	va_list args;

	va_start(args, flags);
	void *to = flags & MREMAP_FIXED ? va_arg(args, void *) : NULL;
	va_end(args);
	if (likely(!process_is_kept))
		return REAL(mremap)(from, from_len, len, flags, to);
	ours_enter();
	void *mapped = REAL(mremap)(from, from_len, len, flags, to);
	if (mapped != MAP_FAILED) {
		process_note_mapping(from, from_len);
		process_note_mapping(mapped, len);
	}
	ours_leave();
	return mapped;
}

static bool is_forgetful(int advice)
{
	return advice == MADV_DONTNEED || advice == MADV_REMOVE || advice == 24 /* ..._LOCKED */ ||
	       advice == 102 /* MADV_GUARD_INSTALL */;
}

INTERPOSE int madvise(void *addr, size_t len, int advice)
{
	if (likely(!process_is_kept || !is_forgetful(advice)))
		return REAL(madvise)(addr, len, advice);
	ours_enter();
	const int error = os_madvise(addr, len, advice);
	if (!error)
		process_note_mapping(addr, len);
	ours_leave();
	return finish((void *)(intptr_t)error) == MAP_FAILED ? -1 : 0;
}
