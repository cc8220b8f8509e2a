/* The medium of a pool in a file: its bytes, its owner's lock, and nobody else's file. */
#include "crafted.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "flush/medium-file.h"

TestSuite(medium, .init = scratch_open, .fini = scratch_close);

static struct pool pool;
static struct medium_file file;
static char block[8192] __attribute__((aligned(4096)));

static void open_medium(void)
{
	const char *path = crafted_pool("pool");

	cr_assert_eq(pool_open(&pool, path, POOL_OWN, &why), 0, "%s", why.line);
	cr_assert_eq(medium_file_open(&file, &pool, DURABILITY_MEDIA), 0);
}

static void close_medium(void)
{
	medium_file_close(&file);
	pool_close(&pool);
}

static void append_and_read_back(void)
{
	static char back[8192];

	memset(block, 'a', sizeof(block));
	cr_assert_eq(medium_append(&file.medium, block, sizeof(block), LAYOUT_HEAD_BYTES), 0);
	cr_assert_eq(medium_read(&file.medium, back, sizeof(back), LAYOUT_HEAD_BYTES), 0);
	cr_assert_arr_eq(back, block, sizeof(block));
}

Test(medium, what_was_appended_or_written_is_read_back)
{
	char text[6];

	open_medium();
	append_and_read_back();
	cr_assert_eq(medium_write(&file.medium, "store", 6, LAYOUT_HEAD_BYTES + 4095), 0);
	cr_assert_eq(medium_sync(&file.medium), 0);
	cr_assert_eq(medium_read(&file.medium, text, 6, LAYOUT_HEAD_BYTES + 4095), 0);
	cr_assert_str_eq(text, "store");
	cr_assert_eq(medium_punch(&file.medium, LAYOUT_HEAD_BYTES, 4096), 0);
	cr_assert_eq(medium_read(&file.medium, text, 6, LAYOUT_HEAD_BYTES + 4091), 0);
	cr_assert_arr_eq(text, "\0\0\0\0\0t", 6);
	cr_assert_eq(file.medium.failures, 0);
	close_medium();
}

/* Past the cache, and all the same what a write has just left there; also when the program has
 * closed all it could, or direct reads are refused. */
Test(medium, what_was_written_a_moment_ago_is_fetched)
{
	static char back[4096] __attribute__((aligned(4096)));

	open_medium();
	for (int round = 0; round < 3; round++) {
		memset(block, 'x' + round, sizeof(block));
		cr_assert_eq(medium_write(&file.medium, block, 4096, LAYOUT_HEAD_BYTES), 0);
		cr_assert_eq(medium_fetch(&file.medium, back, 4096, LAYOUT_HEAD_BYTES), 0);
		cr_assert_arr_eq(back, block, 4096);
		if (round == 0)
			close(file.log_fd);
		else
			file.is_direct = fcntl(file.log_fd, F_SETFL, 0) != 0;
	}
	close_medium();
}

/* What a file system or a kernel refuses costs time and nothing else. */
Test(medium, without_direct_or_synced_writes_it_goes_the_slow_way)
{
	open_medium();
	fcntl(file.log_fd, F_SETFL, 0);
	file.is_direct = false;
	file.has_synced_write = false;
	append_and_read_back();
	close_medium();
}

/* What is seen in place is what was written, however it was; and never beyond the file's end. */
Test(medium, shows_what_it_holds_in_place)
{
	uint64_t size;

	open_medium();
	append_and_read_back();
	const char *view = medium_view(&file.medium, sizeof(block), LAYOUT_HEAD_BYTES);
	if (!view) /* tmpfs */
		cr_skip_test("no view here");
	cr_assert_arr_eq(view, block, sizeof(block));
	cr_assert_eq(medium_write(&file.medium, "store", 6, LAYOUT_HEAD_BYTES), 0);
	cr_assert_str_eq(view, "store");
	cr_assert_eq(medium_size(&file.medium, &size), 0);
	cr_assert_null(medium_view(&file.medium, 4096, size - 2048));
	cr_assert_eq(medium_extend(&file.medium, size + 8192), 0);
	view = medium_view(&file.medium, 4096, size);
	cr_assert_not_null(view);
	cr_assert_eq(view[100], 0);
	close_medium();
}

Test(medium, finds_what_is_not_a_hole)
{
	uint64_t from = LAYOUT_HEAD_BYTES, end = LAYOUT_HEAD_BYTES + (1 << 20);

	open_medium();
	cr_assert_eq(medium_find_data(&file.medium, &from, &end), 0);
	cr_assert_geq(from, end);
	cr_assert_eq(medium_write(&file.medium, "x", 1, LAYOUT_HEAD_BYTES + 40960), 0);
	from = LAYOUT_HEAD_BYTES;
	end = LAYOUT_HEAD_BYTES + (1 << 20);
	cr_assert_eq(medium_find_data(&file.medium, &from, &end), 0);
	cr_assert_leq(from, LAYOUT_HEAD_BYTES + 40960);
	cr_assert_gt(end, LAYOUT_HEAD_BYTES + 40960);
	cr_assert_leq(end - from, 65536);
	close_medium();
}

Test(medium, grows_the_file_and_never_shrinks_it)
{
	uint64_t before, after;

	open_medium();
	cr_assert_eq(medium_size(&file.medium, &before), 0);
	cr_assert_eq(medium_extend(&file.medium, before + 4096), 0);
	cr_assert_eq(medium_extend(&file.medium, 4096), 0);
	cr_assert_eq(medium_size(&file.medium, &after), 0);
	cr_assert_eq(after, before + 4096);
	close_medium();
}

Test(medium, a_file_size_limit_is_an_error_and_not_a_signal)
{
	struct rlimit limit = {0, RLIM_INFINITY};

	open_medium();
	cr_assert_eq(medium_size(&file.medium, &limit.rlim_cur), 0);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	cr_assert_eq(medium_extend(&file.medium, limit.rlim_cur + 4096), -EFBIG);
	close_medium();
}

Test(medium, reading_beyond_the_end_is_an_error)
{
	uint64_t size;

	open_medium();
	cr_assert_eq(medium_size(&file.medium, &size), 0);
	cr_assert_eq(medium_read(&file.medium, block, 4096, size - 2048), -EIO);
	close_medium();
}

/* Programs close all descriptors, and then open their own files under the same numbers. */
Test(medium, never_writes_to_a_file_that_took_its_descriptor)
{
	struct scratch_print before, after;
	int fd, other;

	open_medium();
	const char *path = scratch_path("other");
	fd = open(path, O_RDWR | O_CREAT, 0600);
	cr_assert_eq(ftruncate(fd, 4 << 20), 0);
	before = scratch_print(path);
	cr_assert_eq(dup2(fd, pool.fd), pool.fd);
	cr_assert_eq(dup2(fd, file.log_fd), file.log_fd);
	append_and_read_back();
	cr_assert_eq(medium_write(&file.medium, "x", 1, LAYOUT_HEAD_BYTES), 0);
	cr_assert_eq(medium_punch(&file.medium, LAYOUT_HEAD_BYTES, 4096), 0);
	cr_assert_eq(medium_sync(&file.medium), 0);
	after = scratch_print(path);
	cr_assert(scratch_is_same(&before, &after));
	other = open(path, O_RDONLY);
	cr_assert_geq(other, 0);
	close_medium();
}

/* Nobody may own the pool between a closed descriptor and the next append. */
Test(medium, the_owners_lock_survives_a_closed_descriptor)
{
	struct pool second;

	open_medium();
	close(pool.fd);
	close(file.log_fd);
	append_and_read_back();
	pid_t child = fork();
	if (child == 0)
		_exit(pool_open(&second, pool.path, POOL_CHECK, &why));
	int status;
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == STATUS_BUSY);
	close_medium();
}

static int refuse_all(struct medium *medium)
{
	(void)medium;
	return -EIO;
}

/* A sync that fails for one caller has eaten the error of another: both can see it. */
Test(medium, a_failure_is_counted_for_everybody)
{
	open_medium();
	struct medium_table table = *file.medium.table;
	table.sync = refuse_all;
	file.medium.table = &table;
	cr_assert_eq(medium_sync(&file.medium), -EIO);
	cr_assert_eq(file.medium.failures, 1);
	close_medium();
}
