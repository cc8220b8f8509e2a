/*
 * The problem: a store into a mapped page needs a block, and where there is none left the program
 * dies of SIGBUS. So blocks are had before a page is opened. That is not enough: the page cache
 * keeps a file in folios of up to 2 MiB, and the first store into a clean one makes the file
 * system look for the blocks of the *whole* folio. A live page next to a hole then dies of the
 * hole.
 *
 * The trick: on a disk, blocks come and go by whole chunks of 2 MiB, the largest folio, so that
 * none is ever half a hole. Taking rounds up to chunks; giving back punches the chunks that lie
 * wholly in the range and turns its ends to zeros that keep their blocks. On tmpfs, whose pages
 * are its blocks, it is pages that come and go.
 *
 * The guarantee: a chunk with an open page in it has all its blocks.
 */
#include "window-blocks.h"

#include <errno.h>
#include <linux/falloc.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mman.h>

#include "os.h"

size_t window_blocks_unit(int fd)
{
	struct statfs fs;

	if (os_fstatfs(fd, &fs) == 0 && fs.f_type == TMPFS_MAGIC)
		return OS_PAGE_BYTES;
	return LAYOUT_CHUNK_BYTES;
}

/* A signal interrupts fallocate and what it did is undone, so a profiler's timer could keep us
 * here for ever: each time, try less at once. */
static int allocate_run(int fd, uint64_t at, uint64_t len)
{
	uint64_t piece = len;

	while (len) {
		piece = piece < len ? piece : len;
		int error = os_fallocate(fd, 0, at, piece);
		if (error == -EINTR) {
			piece = piece > 2 * LAYOUT_BLOCK_BYTES ?
					piece / 2 & ~(LAYOUT_BLOCK_BYTES - 1) :
					LAYOUT_BLOCK_BYTES;
			continue;
		}
		if (error == -EOPNOTSUPP) /* then blocks are had by writing */
			return os_pwrite_zeros(fd, len, at);
		if (error)
			return error;
		at += piece;
		len -= piece;
	}
	return 0;
}

/* The whole units in [start, end); false: there is none. */
static bool whole_units(const struct window *window, size_t *start, size_t *end)
{
	*start = (*start + window->block_bytes - 1) & ~(window->block_bytes - 1);
	*end &= ~(window->block_bytes - 1);
	return *start < *end;
}

int window_blocks_take(struct window *window, size_t offset, size_t len)
{
	int fd = pool_fd(window->pool);
	int error = fd < 0 ? fd : 0;
	size_t start = offset & ~(window->block_bytes - 1);
	size_t end = (offset + len + window->block_bytes - 1) & ~(window->block_bytes - 1);

	end = end < window->size_bytes ? end : window->size_bytes;
	while (!error && start < end) {
		uint64_t run;
		uint64_t at = pool_file_offset(window->pool, start, &run);
		run = run < end - start ? run : end - start;
		error = allocate_run(fd, at, run);
		start += run;
	}
	start = offset;
	end = offset + len;
	if (error && fd >= 0 && whole_units(window, &start, &end))
		pool_punch(window->pool, start, end - start);
	return error;
}

/* Zeros that keep their blocks, and leave the page cache where the file system can do that. */
static void zero(struct window *window, size_t start, size_t end)
{
	while (start < end) {
		uint64_t run;
		int fd = pool_fd(window->pool);
		uint64_t at = pool_file_offset(window->pool, start, &run);
		run = run < end - start ? run : end - start;
		if (fd < 0 || os_fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, at, run))
			memset(window->base + start, 0, run);
		start += run;
	}
}

int window_blocks_give(struct window *window, size_t offset, size_t len)
{
	size_t inner = offset, inner_end = offset + len;

	if (!whole_units(window, &inner, &inner_end)) {
		zero(window, offset, offset + len);
		return 0;
	}
	if (pool_punch(window->pool, inner, inner_end - inner) != 0) {
		/* No descriptor to be had: the mapping will do. */
		int error = os_madvise(window->base + inner, inner_end - inner, MADV_REMOVE);
		if (error)
			return error;
	}
	zero(window, offset, inner);
	zero(window, inner_end, offset + len);
	return 0;
}
