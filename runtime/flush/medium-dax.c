/*
 * The problem: on DAX a store is a write, and a store has no way to fail. Where there is no block
 * left, or the memory is poisoned, the program dies of SIGBUS, in the middle of somebody's malloc.
 * And a store is on media only when its line has left the caches *and* the file system has noted
 * on media which block it went to.
 *
 * The trick: MAP_SYNC makes the file system note a block before the fault that allocates it
 * returns; and before stores to a range, MADV_POPULATE_WRITE takes its faults, which turns a full
 * disk or a bad page into an error. Then that range goes to the file by system calls, as on a disk,
 * which either works or says what is wrong. So stores only ever go to pages that are there.
 *
 *   append   stores past the caches (nobody reads the log back soon), one fence
 *   write    stores, and each line written back at once; the fence is sync's, for all of them
 *   read     pread: the kernel's own copy, which survives poison with an error
 *   others   the file's: sizes and holes are the file system's. What they change is its business to
 *            make durable, so after them a sync is an fdatasync as well
 *
 * The guarantee: the table's, with no signal. One gap is left: memory that turns bad between
 * populating and storing, or under somebody who looks at a view. Nothing in user space closes it.
 *
 * No such pages are ever write-protected to track them (on DAX, WP_ASYNC misses stores into huge
 * ones): the heap's window is a private mapping, whose changed pages are anonymous memory.
 */
#include "medium-dax.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "os.h"
#include "pool.h"

#ifndef MADV_POPULATE_READ /* Linux 5.14 */
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

static struct medium_dax *dax_of(struct medium *medium)
{
	return (struct medium_dax *)medium; /* its first member's first member */
}

static void map_close(struct medium_dax *dax)
{
	if (dax->map)
		os_munmap(dax->map, dax->map_bytes);
	dax->map = NULL;
	dax->map_bytes = 0;
}

/* All of the file as it is now. A child must not have it: it would store to its parent's pool. */
static int map_open(struct medium_dax *dax)
{
	struct stat st;
	const int fd = pool_reopen(dax->file.pool);

	map_close(dax);
	if (fd < 0)
		return fd;
	int error = os_fstat(fd, &st);
	if (!error) {
		char *map = os_mmap(NULL, (uint64_t)st.st_size, PROT_READ | PROT_WRITE,
				    MAP_SHARED_VALIDATE | MAP_SYNC, fd, 0);
		if (os_is_error(map)) {
			error = (int)(intptr_t)map;
		} else {
			os_madvise(map, (uint64_t)st.st_size, MADV_DONTFORK);
			os_madvise(map, (uint64_t)st.st_size, MADV_DONTDUMP);
			dax->map = map;
			dax->map_bytes = (uint64_t)st.st_size;
		}
	}
	os_close(fd);
	return error;
}

/* Faults of [offset, offset+len) taken beforehand; NULL: there is something that a store or a load
 * would die of, or it is not in the file. */
static char *populate(struct medium_dax *dax, size_t len, uint64_t offset, int advice)
{
	const uint64_t start = offset & -(uint64_t)OS_PAGE_BYTES;
	int error;

	if (offset + len > dax->map_bytes && map_open(dax))
		return NULL;
	if (offset + len > dax->map_bytes)
		return NULL;
	do
		error = os_madvise(dax->map + start, offset + len - start, advice);
	while (error == -EINTR || error == -EAGAIN);
	return error ? NULL : dax->map + offset;
}

/* The pool's mapping outlives its descriptors, but not its lock: that is taken again first. */
static char *storable(struct medium_dax *dax, size_t len, uint64_t offset, int *ret_error)
{
	const int fd = pool_fd(dax->file.pool);

	*ret_error = fd < 0 ? fd : 0;
	return fd < 0 ? NULL : populate(dax, len, offset, MADV_POPULATE_WRITE);
}

/* Poison is -EFAULT to a write, of all things. */
static int say_poison(int error)
{
	return error == -EFAULT ? -EIO : error;
}

static int dax_read(struct medium *medium, void *buffer, size_t len, uint64_t offset)
{
	return say_poison(medium_file_table.read(medium, buffer, len, offset));
}

static int dax_write(struct medium *medium, const void *buffer, size_t len, uint64_t offset)
{
	struct medium_dax *dax = dax_of(medium);
	int error;
	char *to = storable(dax, len, offset, &error);

	if (error)
		return error;
	if (!to) {
		dax->owes_sync = true;
		return say_poison(medium_file_table.write(medium, buffer, len, offset));
	}
	memcpy(to, buffer, len);
	flush_range(to, len, dax->way); /* the fence is dax_sync's */
	return 0;
}

static int dax_sync(struct medium *medium)
{
	struct medium_dax *dax = dax_of(medium);

	flush_fence(); /* all lines that dax_write sent, before any store the caller makes next */
	if (!dax->owes_sync)
		return 0;
	const int error = medium_file_table.sync(medium);
	dax->owes_sync = error != 0;
	return error;
}

static int dax_append(struct medium *medium, const void *buffer, size_t len, uint64_t offset)
{
	int error;
	char *to = storable(dax_of(medium), len, offset, &error);

	if (error)
		return error;
	if (!to)
		return say_poison(medium_file_table.append(medium, buffer, len, offset));
	flush_stream(to, buffer, len);
	flush_fence(); /* the record is on media: the caller may say so */
	return 0;
}

static int dax_punch(struct medium *medium, uint64_t offset, uint64_t len)
{
	dax_of(medium)->owes_sync = true;
	return medium_file_table.punch(medium, offset, len);
}

static int dax_extend(struct medium *medium, uint64_t file_bytes)
{
	return medium_file_table.extend(medium, file_bytes);
}

static int dax_size(struct medium *medium, uint64_t *ret_bytes)
{
	return medium_file_table.size(medium, ret_bytes);
}

static int dax_find_data(struct medium *medium, uint64_t *from, uint64_t *end)
{
	return medium_file_table.find_data(medium, from, end);
}

static const void *dax_view(struct medium *medium, size_t len, uint64_t offset)
{
	return populate(dax_of(medium), len, offset, MADV_POPULATE_READ);
}

static const struct medium_table dax_table = {
	.read = dax_read,
	.write = dax_write,
	.punch = dax_punch,
	.sync = dax_sync,
	.append = dax_append,
	.extend = dax_extend,
	.size = dax_size,
	.find_data = dax_find_data,
	.view = dax_view,
};

int medium_dax_open(struct medium_dax *ret_dax, struct pool *pool, enum durability durability)
{
	struct medium_dax *dax = ret_dax;

	*dax = (struct medium_dax){.way = flush_choose(), .owes_sync = true};
	const int error = medium_file_open(&dax->file, pool, durability);
	if (error)
		return error;
	/* Tried, not asked: other file systems refuse MAP_SYNC, a pool that is only read a writable
	 * mapping, and old kernels the advice. */
	dax->is_dax = map_open(dax) == 0 && populate(dax, OS_PAGE_BYTES, 0, MADV_POPULATE_READ);
	if (dax->is_dax)
		dax->file.medium.table = &dax_table;
	else
		map_close(dax);
	return 0;
}

void medium_dax_close(struct medium_dax *dax)
{
	map_close(dax);
	medium_file_close(&dax->file);
}
