/* The medium of a pool in memory that stays. Where /tmp is no DAX (tests/vm makes it one), only
 * that it is a file's medium then, and what the processor does to its caches. */
#include "crafted.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#include "flush/medium-dax.h"

TestSuite(medium_dax, .init = scratch_open, .fini = scratch_close);

#define LOG_AT LAYOUT_HEAD_BYTES

static struct pool pool;
static struct medium_dax dax;
static struct medium *medium;
static char block[8192] __attribute__((aligned(4096)));

static void open_medium(void)
{
	const char *path = crafted_pool("pool");

	cr_assert_eq(pool_open(&pool, path, POOL_OWN, &why), 0, "%s", why.line);
	cr_assert_eq(medium_dax_open(&dax, &pool, DURABILITY_MEDIA), 0);
	medium = &dax.file.medium;
}

static void open_dax(void)
{
	open_medium();
	if (getenv("MUST_BE_DAX"))
		cr_assert(dax.is_dax);
	if (!dax.is_dax)
		cr_skip_test("no DAX here");
}

static void close_medium(void)
{
	medium_dax_close(&dax);
	pool_close(&pool);
}

static void is_there(char what, size_t len, uint64_t offset)
{
	static char back[8192];

	cr_assert_eq(medium_read(medium, back, len, offset), 0);
	for (size_t i = 0; i < len; i++)
		cr_assert_eq(back[i], what, "byte %zu is %d", i, back[i]);
}

/* On any file system, by whichever back end. */
Test(medium_dax, what_was_appended_or_written_is_read_back)
{
	open_medium();
	memset(block, 'a', sizeof(block));
	cr_assert_eq(medium_append(medium, block, sizeof(block), LOG_AT), 0);
	is_there('a', sizeof(block), LOG_AT);
	memset(block, 'w', 777);
	cr_assert_eq(medium_write(medium, block, 777, LOG_AT + 4000), 0);
	cr_assert_eq(medium_sync(medium), 0);
	is_there('a', 4000, LOG_AT);
	is_there('w', 777, LOG_AT + 4000);
	is_there('a', sizeof(block) - 4777, LOG_AT + 4777);
	cr_assert_eq(medium_punch(medium, LOG_AT, 4096), 0);
	is_there(0, 4096, LOG_AT);
	is_there('w', 681, LOG_AT + 4096);
	memset(block, 'b', sizeof(block));
	cr_assert_eq(medium_append(medium, block, sizeof(block), LOG_AT), 0); /* into the hole */
	is_there('b', sizeof(block), LOG_AT);
	cr_assert_eq(medium->failures, 0);
	close_medium();
}

Test(medium_dax, is_chosen_by_trying_and_a_file_otherwise)
{
	open_medium();
	const int fd = open(pool.path, O_RDWR);
	void *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED_VALIDATE | MAP_SYNC, fd, 0);
	cr_assert_eq(dax.is_dax, map != MAP_FAILED);
	close(fd);
	close_medium();
}

/* A file that grew is stored to in its new part, and shown there. */
Test(medium_dax, follows_the_file_as_it_grows)
{
	uint64_t size;

	open_dax();
	cr_assert_eq(medium_size(medium, &size), 0);
	cr_assert_null(medium_view(medium, 4096, size));
	cr_assert_eq(medium_extend(medium, size + 8192), 0);
	memset(block, 'g', sizeof(block));
	cr_assert_eq(medium_append(medium, block, sizeof(block), size), 0);
	const char *view = medium_view(medium, 8192, size);
	cr_assert_not_null(view);
	cr_assert_arr_eq(view, block, 8192);
	is_there('g', 8192, size);
	close_medium();
}

/* Stores into holes would be a SIGBUS where no block is left. */
Test(medium_dax, a_full_disk_is_an_error_and_no_signal)
{
	struct statvfs fs;
	uint64_t size;
	bool is_refused = false;

	open_dax();
	cr_assert_eq(medium_size(medium, &size), 0);
	cr_assert_eq(medium_extend(medium, size + (8 << 20)), 0);
	const int fd = open(scratch_path("filler"), O_RDWR | O_CREAT, 0600);
	cr_assert_eq(fstatvfs(fd, &fs), 0);
	uint64_t at = 0, piece = fs.f_bfree * fs.f_frsize;
	for (; piece >= 4096; piece /= 2)
		while (fallocate(fd, 0, (off_t)at, (off_t)(piece & -UINT64_C(4096))) == 0)
			at += piece & -UINT64_C(4096);
	for (uint64_t offset = size; offset < size + (8 << 20); offset += sizeof(block)) {
		const int error = offset / sizeof(block) % 2 ?
					  medium_append(medium, block, sizeof(block), offset) :
					  medium_write(medium, block, sizeof(block), offset);
		cr_assert(error == 0 || error == -ENOSPC, "error %d", error);
		is_refused |= error == -ENOSPC;
	}
	cr_assert(is_refused);
	cr_assert_gt(medium->failures, 0);
	cr_assert_eq(ftruncate(fd, 0), 0);
	close(fd);
	memset(block, 'n', sizeof(block));
	cr_assert_eq(medium_append(medium, block, sizeof(block), size), 0);
	is_there('n', sizeof(block), size);
	close_medium();
}

/* Tells the kernel, as a machine check would, that the memory behind a page has gone bad. */
static void poison(const char *page)
{
	static const char *const fields[][2] = {{"cpu", "0"}, {"flags", "sw"},
		{"status", "0xbd80000000000134"}, {"misc", "0x8c"}, {"addr", NULL}, {"bank", "1"}};
	uint64_t entry;
	char path[64], text[32];
	int fd = open("/proc/self/pagemap", O_RDONLY);

	cr_assert_eq(pread(fd, &entry, 8, (off_t)((uintptr_t)page / 4096 * 8)), 8);
	close(fd);
	snprintf(text, sizeof(text), "%#llx", (entry & ((UINT64_C(1) << 55) - 1)) * 4096ull);
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		char value[40];
		snprintf(value, sizeof(value), "%s\n", fields[i][1] ? fields[i][1] : text);
		snprintf(path, sizeof(path), "/sys/kernel/debug/mce-inject/%s", fields[i][0]);
		fd = open(path, O_WRONLY);
		cr_assert_eq(write(fd, value, strlen(value)), (ssize_t)strlen(value), "%s", path);
		close(fd);
	}
}

/* Memory that went bad is an error to all calls, where a load or a store would be a SIGBUS. */
Test(medium_dax, bad_memory_is_an_error_and_no_signal)
{
	if (access("/sys/kernel/debug/mce-inject/bank", W_OK) != 0)
		cr_skip_test("no memory can be made bad here");
	open_dax();
	memset(block, 'p', sizeof(block));
	cr_assert_eq(medium_append(medium, block, sizeof(block), LOG_AT), 0);
	const char *view = medium_view(medium, 4096, LOG_AT);
	cr_assert_not_null(view);
	cr_assert_eq(*view, 'p');
	poison(view);
	sleep(2); /* the kernel learns of it by a work queue */
	medium_dax_close(&dax);
	cr_assert_eq(medium_dax_open(&dax, &pool, DURABILITY_MEDIA), 0); /* nothing mapped yet */
	cr_assert(dax.is_dax);
	cr_assert_eq(medium_read(medium, block, 4096, LOG_AT), -EIO);
	cr_assert_null(medium_view(medium, 4096, LOG_AT));
	cr_assert_eq(medium_write(medium, block, 100, LOG_AT), -EIO);
	cr_assert_eq(medium_append(medium, block, 4096, LOG_AT), -EIO);
	cr_assert_eq(medium_append(medium, block, 4096, LOG_AT + 4096), 0);
	close_medium();
}

/* Programs close all descriptors: the lock is had again before anything is stored. */
Test(medium_dax, the_owners_lock_survives_a_closed_descriptor)
{
	open_dax();
	close(pool.fd);
	const int fd = open("/dev/null", O_RDWR);
	memset(block, 'l', sizeof(block));
	cr_assert_eq(medium_append(medium, block, sizeof(block), LOG_AT), 0);
	struct pool second;
	const pid_t child = fork();
	if (child == 0)
		_exit(pool_open(&second, pool.path, POOL_CHECK, &why));
	int status;
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert_eq(WEXITSTATUS(status), STATUS_BUSY);
	close(fd);
	close_medium();
}

Test(flush, the_best_way_the_processor_has_is_taken)
{
	const enum flush_way best = flush_choose();

	cr_assert_lt(best, FLUSH_WAY_COUNT);
	cr_assert(flush_has(best));
	for (enum flush_way way = FLUSH_CLWB; way < best; way++)
		cr_assert_not(flush_has(way));
	cr_assert(flush_has(FLUSH_CLFLUSH));
	if (getenv("MUST_FLUSH_BY"))
		cr_assert_eq((int)best, atoi(getenv("MUST_FLUSH_BY")));
}

/* No way of flushing changes a byte, whatever the edges of the range. */
Test(flush, leaves_bytes_as_they_are)
{
	for (enum flush_way way = FLUSH_CLWB; way < FLUSH_WAY_COUNT; way++) {
		if (!flush_has(way))
			continue;
		for (size_t from = 0; from < 130; from++) {
			memset(block, 'f', sizeof(block));
			flush_range(block + from, 200 - from, way);
			flush_fence();
			for (size_t i = 0; i < sizeof(block); i++)
				cr_assert_eq(block[i], 'f');
		}
	}
}

Test(flush, streams_lines_from_anywhere)
{
	static char from[4096 + 64];

	for (size_t i = 0; i < sizeof(from); i++)
		from[i] = (char)(i * 7);
	for (size_t skew = 0; skew < 64; skew += 7) {
		memset(block, 0, sizeof(block));
		flush_stream(block + 64, from + skew, 4032);
		flush_fence();
		cr_assert_arr_eq(block + 64, from + skew, 4032);
		cr_assert_eq(block[63], 0);
		cr_assert_eq(block[64 + 4032], 0);
	}
}
