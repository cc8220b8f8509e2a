/*
 * Calls that change what is mapped, or what is in it, without a store: under keep=process a page
 * that is gone must not come back in what stands at its place now. The kernel's list of mappings
 * shows most of it, but not pages given back, nor a mapping replaced by its like; so the call says
 * it. Call and note are one section of ours: no cut falls between them.
 *
 * And the kernel moves a mapping only as a whole, while following what has just grown can make two
 * of one: then its pieces are moved one by one, and the committer is held meanwhile.
 */
#include "preload.h"

#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <unistd.h>

#include "checkpoint/committer.h"
#include "maps.h"
#include "os.h"
#include "ours.h"
#include "process/process.h"
#include "real.h"

static void note_gone(const void *start, size_t len)
{
	process_note_mapping(start, len);
	process_note_unmapped(start, len);
}

static bool is_shared_to_read(int flags, int fd)
{
	const int type = flags & MAP_TYPE;

	return (type == MAP_SHARED || type == MAP_SHARED_VALIDATE) && !(flags & MAP_ANONYMOUS) &&
	       (os_fcntl(fd, F_GETFL, NULL) & O_ACCMODE) == O_RDONLY;
}

static void *map(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	if (likely(!process_is_kept))
		return REAL(mmap)(addr, len, prot, flags, fd, offset);
	ours_enter();
	/* Not os_mmap(): without a place it takes one of ours. */
	void *mapped = REAL(mmap)(addr, len, prot, flags, fd, offset);
	if (mapped != MAP_FAILED) { /* where libc may have unmapped a stack without a word */
		process_note_mapping(mapped, len);
		process_note_mapped(mapped, len, flags);
		if (is_shared_to_read(flags, fd))
			process_note_read_only(mapped, len);
	}
	ours_leave();
	return mapped;
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
		note_gone(addr, len);
	ours_leave();
	if (!error)
		return 0;
	errno = -error;
	return -1;
}

/* ---- The break: what comes back where it was is empty ---- */

static void note_break(char *before)
{
	char *const now = REAL(sbrk)(0);

	if (now < before)
		note_gone(now, (size_t)(before - now));
}

INTERPOSE int brk(void *end)
{
	if (likely(!process_is_kept))
		return REAL(brk)(end);
	ours_enter();
	char *const before = REAL(sbrk)(0);
	const int result = REAL(brk)(end);
	note_break(before);
	ours_leave();
	return result;
}

INTERPOSE void *sbrk(intptr_t growth)
{
	if (likely(!process_is_kept || growth == 0))
		return REAL(sbrk)(growth);
	ours_enter();
	char *const before = REAL(sbrk)(0);
	void *const result = REAL(sbrk)(growth);
	note_break(before);
	ours_leave();
	return result;
}

/* ---- mremap ---- */

#define PIECES 64

struct piece {
	char *start;
	size_t len;
};

/* What [from, from + len) is made of; 0: it has holes, or there are too many. */
static unsigned find_pieces(char *from, size_t len, struct piece pieces[PIECES])
{
	char *at = from, *const end = from + len;
	unsigned count = 0;
	struct maps maps;
	struct map map;

	if (maps_open(&maps) != 0)
		return 0;
	while (at < end && count < PIECES && maps_next(&maps, &map)) {
		if (map.end <= (uintptr_t)at)
			continue;
		if (map.start > (uintptr_t)at)
			break;
		const size_t there = map.end - (uintptr_t)at, wanted = (size_t)(end - at);
		pieces[count] = (struct piece){at, there < wanted ? there : wanted};
		at += pieces[count++].len;
	}
	maps_close(&maps);
	return at == end ? count : 0;
}

/* The last one first: only it grows, and only that can fail. */
static void *move_pieces(const struct piece *pieces, unsigned count, size_t growth, char *to)
{
	for (unsigned i = count; i--; growth = 0) {
		const struct piece *piece = &pieces[i];
		const void *moved = REAL(mremap)(piece->start, piece->len, piece->len + growth,
						 MREMAP_MAYMOVE | MREMAP_FIXED,
						 to + (piece->start - pieces[0].start));
		if (moved == MAP_FAILED)
			return MAP_FAILED;
	}
	return to;
}

static void *find_room(size_t len)
{
	return REAL(mmap)(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

static void *remap_pieces(char *from, size_t from_len, size_t len, int flags, void *to)
{
	struct piece pieces[PIECES];
	const unsigned count = find_pieces(from, from_len, pieces);

	if (count < 2)
		return REAL(mremap)(from, from_len, len, flags, to);
	const struct piece *last = &pieces[count - 1];
	if (!(flags & MREMAP_FIXED)) {
		if (REAL(mremap)(last->start, last->len, last->len + len - from_len, 0) != MAP_FAILED)
			return from;
		to = flags & MREMAP_MAYMOVE ? find_room(len) : MAP_FAILED;
		if (to == MAP_FAILED)
			return to;
	}
	void *moved = move_pieces(pieces, count, len - from_len, to);
	if (moved == MAP_FAILED && !(flags & MREMAP_FIXED))
		os_munmap(to, len);
	return moved;
}

static size_t whole_pages(size_t len)
{
	return (len + OS_PAGE_BYTES - 1) & ~(size_t)(OS_PAGE_BYTES - 1);
}

static void note_move(const void *from, size_t from_len, const void *to, size_t len, int flags)
{
	if (to == MAP_FAILED)
		return;
	process_note_mapping(to, len);
	process_note_moved(from, from_len, to, len, flags & MREMAP_DONTUNMAP);
}

/* Not of what shrinks in its place: that is no matter of pieces. */
static void *remap_held(char *from, size_t from_len, size_t len, int flags, void *to)
{
	from_len = whole_pages(from_len);
	len = whole_pages(len);
	committer_hold();
	void *mapped = NULL;
	if (len < from_len && REAL(munmap)(from + len, from_len - len) != 0)
		mapped = MAP_FAILED;
	else
		mapped = remap_pieces(from, len < from_len ? len : from_len, len, flags, to);
	const int errno_before = errno;
	note_move(from, from_len, mapped, len, flags);
	process_note_mapping(from, from_len);
	committer_go_on();
	errno = errno_before;
	return mapped;
}

INTERPOSE void *mremap(void *from, size_t from_len, size_t len, int flags, ...)
{
	va_list args;

	va_start(args, flags);
	void *to = flags & MREMAP_FIXED ? va_arg(args, void *) : NULL;
	va_end(args);
	if (likely(!process_is_kept))
		return REAL(mremap)(from, from_len, len, flags, to);
	const bool is_kind = from_len && len && (uintptr_t)from % OS_PAGE_BYTES == 0 &&
			     !(flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED));
	if (is_kind && flags & MREMAP_FIXED) /* of pieces, only some might be moved */
		return remap_held(from, from_len, len, flags, to);
	ours_enter();
	void *mapped = REAL(mremap)(from, from_len, len, flags, to);
	if (mapped != MAP_FAILED)
		process_note_mapping(from, from_len);
	note_move(from, from_len, mapped, len, flags);
	ours_leave();
	return mapped == MAP_FAILED && errno == EFAULT && is_kind
		       ? remap_held(from, from_len, len, flags, to) : mapped;
}

/* ---- Memory of libc's ---- */

/* A new one is a file with a name of the moment, opened, mapped and given its own name: the file is
 * lost to an image of anything in between. What it is on return, is a veto (mappings.c). */
INTERPOSE sem_t *sem_open(const char *name, int flags, ...)
{
	va_list args;

	va_start(args, flags);
	const mode_t mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
	const unsigned value = flags & O_CREAT ? va_arg(args, unsigned) : 0;
	va_end(args);
	ours_enter();
	sem_t *semaphore = REAL(sem_open)(name, flags, mode, value);
	ours_leave();
	return semaphore;
}
