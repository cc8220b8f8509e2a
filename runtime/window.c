/*
 * The problem: a heap of up to a terabyte must live at one address, cost nothing until it is used,
 * never overcommit a disk, and turn private when the process forks. The trick: reserve everything
 * PROT_NONE once, so that nobody else can get in between, and open it in steps; in front of a
 * shared step the file gets its blocks, so a full disk is an error code here and never a SIGBUS in
 * the program. The guarantee: a step that failed has changed nothing; after window_freeze() no
 * store reaches the file.
 */
#include "window.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "control.h"
#include "os.h"
#include "pool-parts.h"
#include "window-blocks.h"
#include "window-range.h"

#define RESERVE_FLAGS (MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE)
#define ANONYMOUS_FLAGS (MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED)
#define SIZE_MIN_BYTES (UINT64_C(64) << 20)
#define HUGE_FROM_BYTES (UINT64_C(8) << 20) /* a small program stays small: no huge pages before */
#define HOLES_MAX 1024 /* mappings; a process may have some 65000 */

/* Does this kernel know os_populate()? Set once, by anyone; a lost race costs one call. */
static bool window_cannot_populate;

/* Finds the first mapping in /proc/self/maps that overlaps [base, end). */
static bool find_occupant(uint64_t base, uint64_t end, char *ret_line, size_t line_max)
{
	char buffer[1024];
	size_t have = 0;
	bool is_found = false;
	int fd = os_open("/proc/self/maps", O_RDONLY | O_CLOEXEC, 0);

	while (fd >= 0 && !is_found) {
		long n = os_read(fd, buffer + have, sizeof(buffer) - 1 - have);
		have += n > 0 ? (size_t)n : 0;
		buffer[have] = 0;
		char *newline = memchr(buffer, '\n', have);
		if (!newline && n <= 0)
			break;
		size_t line_len = newline ? (size_t)(newline - buffer) : have;
		char *dash;
		int saved_errno = errno;
		uint64_t start = strtoull(buffer, &dash, 16);
		uint64_t stop = *dash == '-' ? strtoull(dash + 1, NULL, 16) : 0;
		errno = saved_errno;
		is_found = start < end && stop > base;
		if (is_found)
			snprintf(ret_line, line_max, "%.*s", (int)line_len, buffer);
		size_t used = newline ? line_len + 1 : line_len;
		memmove(buffer, buffer + used, have - used);
		have -= used;
	}
	if (fd >= 0)
		os_close(fd);
	return is_found;
}

static const char *window_object(const struct window *window)
{
	return window->pool ? window->pool->path : "heap";
}

static int refuse_reservation(const struct window *window, uint64_t base, uint64_t size_bytes,
			      int error, struct refusal *ret_why)
{
	char occupant[512];

	if (error == -EEXIST &&
	    find_occupant(base, base + size_bytes, occupant, sizeof(occupant)))
		return refuse(ret_why, STATUS_INCOMPATIBLE, window_object(window),
			      "its addresses from 0x%llx (%llu bytes) are taken by \"%s\"; "
			      "make a pool with another --base",
			      (unsigned long long)base, (unsigned long long)size_bytes, occupant);
	return refuse(ret_why, STATUS_INCOMPATIBLE, window_object(window),
		      "cannot reserve %llu bytes of addresses at 0x%llx: error %d (%s); "
		      "raise ulimit -v",
		      (unsigned long long)size_bytes, (unsigned long long)base, -error,
		      strerrordesc_np(-error));
}

/* 0, or -EEXIST when something is there already. */
static int reserve(void *base, size_t size_bytes)
{
	void *got = os_mmap(base, size_bytes, PROT_NONE, RESERVE_FLAGS | MAP_FIXED_NOREPLACE, -1, 0);

	if (os_is_error(got))
		return (int)(intptr_t)got;
	if (got == base)
		return 0;
	/* Before Linux 4.17 the address is only a hint. */
	os_munmap(got, size_bytes);
	return -EEXIST;
}

/* Maps the file's part of [offset, offset+len) over what is there. */
static int map_file(struct window *window, int fd, size_t offset, size_t len, int prot, int flags)
{
	while (len) {
		uint64_t run;
		uint64_t at = pool_file_offset(window->pool, offset, &run);
		run = run < len ? run : len;
		void *got = os_mmap(window->base + offset, run, prot,
				    flags | MAP_NORESERVE | MAP_FIXED, fd, at);
		if (os_is_error(got))
			return (int)(intptr_t)got;
		offset += run;
		len -= run;
	}
	return 0;
}

int window_open(struct window *ret_window, enum window_kind kind, struct pool *pool,
		uint64_t base, uint64_t size_bytes, struct refusal *ret_why)
{
	struct window *window = ret_window;
	uint64_t size = size_bytes;
	int error;

	memset(window, 0, sizeof(*window));
	window->kind = kind;
	window->pool = pool;
	window->base = (char *)(uintptr_t)base;
	while ((error = reserve(window->base, size)) == -ENOMEM && size / 2 >= SIZE_MIN_BYTES)
		size = size / 2 & ~(LAYOUT_CHUNK_BYTES - 1);
	if (error)
		return refuse_reservation(window, base, size, error, ret_why);
	window->size_bytes = size;
	if (kind == WINDOW_PRIVATE)
		return 0;
	int fd = pool_reopen(pool);
	error = fd < 0 ? fd : map_file(window, fd, 0, size, PROT_NONE, MAP_SHARED);
	if (!error)
		window->block_bytes = window_blocks_unit(fd);
	if (fd >= 0)
		os_close(fd);
	if (error) {
		window_close(window);
		return refuse_reservation(window, base, size, error, ret_why);
	}
	return 0;
}

void window_close(struct window *window)
{
	os_munmap(window->base, window->size_bytes);
	window->range_count = 0;
	window->open_bytes = 0;
	window->size_bytes = 0;
}

static int grow_shared(struct window *window, size_t offset, size_t len)
{
	int error = window_blocks_take(window, offset, len);

	if (!error) /* only now, with blocks behind every page, may the program touch them */
		error = os_mprotect(window->base + offset, len, PROT_READ | PROT_WRITE);
	return error;
}

/* Zero pages over whatever stands there. */
static int map_anonymous(struct window *window, size_t offset, size_t len)
{
	void *got = os_mmap(window->base + offset, len, PROT_READ | PROT_WRITE, ANONYMOUS_FLAGS, -1,
			    0);

	return os_is_error(got) ? (int)(intptr_t)got : 0;
}

/* Whole chunks of the window around the range: part of them may still be closed, and will be
 * wanted huge as well when they open. */
static void want_huge(struct window *window, size_t offset, size_t len)
{
	uintptr_t base = (uintptr_t)window->base;
	uintptr_t start = (base + offset) & ~(uintptr_t)(LAYOUT_CHUNK_BYTES - 1);
	uintptr_t end = (base + offset + len + LAYOUT_CHUNK_BYTES - 1) &
			~(uintptr_t)(LAYOUT_CHUNK_BYTES - 1);

	if (start < base)
		start += LAYOUT_CHUNK_BYTES;
	if (end > base + window->size_bytes)
		end -= LAYOUT_CHUNK_BYTES;
	if (start < end)
		os_madvise((void *)start, end - start, MADV_HUGEPAGE);
}

static int grow_private(struct window *window, size_t offset, size_t len)
{
	int error = os_mprotect(window->base + offset, len, PROT_READ | PROT_WRITE);

	if (!error && window->open_bytes >= HUGE_FROM_BYTES)
		want_huge(window, offset, len);
	return error;
}

/* For `info`. */
static void tell_open(const struct window *window)
{
	if (window->pool && window->pool->control)
		control_set_heap(window->pool->control, window->open_bytes);
}

int window_grow(struct window *window, size_t offset, size_t len)
{
	struct window before;
	int error;

	if (len == 0 || offset > window->size_bytes || len > window->size_bytes - offset)
		return len ? -ENOMEM : 0;
	memcpy(&before, window, sizeof(before));
	error = window_range_add(window, offset, offset + len);
	if (error)
		return error;
	if (window->kind == WINDOW_PRIVATE)
		error = grow_private(window, offset, len);
	else if (window->is_frozen)
		error = map_anonymous(window, offset, len);
	else
		error = grow_shared(window, offset, len);
	if (error)
		memcpy(window, &before, sizeof(before));
	else
		tell_open(window);
	return error;
}

/* The file's [at, at+len), all in one extent, is shown at offset. */
static int cover_holes(struct window *window, int fd, size_t offset, uint64_t at, size_t len,
		       unsigned *room)
{
	const uint64_t end = at + len;
	int error = 0;

	for (uint64_t hole = at; !error && hole < end;) {
		int64_t data = os_lseek(fd, (int64_t)hole, SEEK_DATA);
		if (data < 0 && data != -ENXIO)
			return (int)data;
		if (data < 0 || (uint64_t)data > end)
			data = (int64_t)end;
		if ((uint64_t)data > hole && *room == 0)
			error = os_fallocate(fd, 0, hole, (uint64_t)data - hole);
		else if ((uint64_t)data > hole) {
			--*room;
			error = map_anonymous(window, offset + (hole - at), (uint64_t)data - hole);
		}
		if ((uint64_t)data == end)
			return error;
		hole = (uint64_t)os_lseek(fd, data, SEEK_HOLE);
	}
	return error;
}

/* On tmpfs a fault in a hole, and be it by a load, takes memory for the file; on a full one it is
 * SIGBUS. So zeros that are nobody's stand there, as many mappings as are reasonable, and then the
 * file gets its blocks now. */
static int hide_holes(struct window *window, int fd, size_t offset, size_t len)
{
	unsigned room = HOLES_MAX;
	struct statfs fs;
	int error = 0;

	if (os_fstatfs(fd, &fs) != 0 || fs.f_type != TMPFS_MAGIC)
		return 0;
	for (uint64_t run = 0; !error && len; offset += run, len -= run) {
		const uint64_t at = pool_file_offset(window->pool, offset, &run);
		run = run < len ? run : len;
		error = cover_holes(window, fd, offset, at, run, &room);
	}
	return error;
}

int window_show_home(struct window *window, size_t offset, size_t len)
{
	const size_t end = offset + len;
	int fd = pool_reopen(window->pool);

	if (fd < 0)
		return fd;
	int error = map_file(window, fd, offset, len, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	if (!error)
		error = hide_holes(window, fd, offset, len);
	os_close(fd);
	if (!error)
		error = window_range_add(window, offset, end);
	if (!error && end > window->home_end)
		window->home_end = end;
	if (!error)
		tell_open(window);
	return error;
}

/* MADV_DONTNEED would bring home's bytes back, not zeros. */
static int purge_private(struct window *window, size_t offset, size_t len)
{
	if (offset >= window->home_end)
		return os_madvise(window->base + offset, len, MADV_DONTNEED);
	int error = map_anonymous(window, offset, len);
	return error ? error : 1;
}

int window_purge(struct window *window, size_t offset, size_t len)
{
	if (window->kind == WINDOW_PRIVATE)
		return purge_private(window, offset, len);
	if (window->is_frozen) /* MADV_DONTNEED would bring the file's bytes back, not zeros */
		return map_anonymous(window, offset, len);
	return window_blocks_give(window, offset, len);
}

void window_populate(struct window *window, size_t offset, size_t len)
{
	if (window_cannot_populate)
		return;
	if (os_populate(window->base + offset, len) == -EINVAL)
		window_cannot_populate = true;
}
