/* Making a pool: whole or not at all, and never in the place of something else. */
#include "crafted.h"

#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "config.h"

TestSuite(pool_create, .init = scratch_open, .fini = scratch_close);

static struct pool pool;

Test(pool_create, a_new_pool_is_0600_whatever_the_umask_and_can_be_opened_in_every_way)
{
	struct stat st;

	umask(0777);
	const char *path = crafted_pool("a");
	cr_assert_eq(stat(path, &st), 0);
	cr_assert_eq(st.st_mode & 07777, 0600);
	cr_assert_eq(st.st_nlink, 1);
	for (int access = POOL_READ; access <= POOL_OWN; access++) {
		cr_assert_eq(pool_open(&pool, path, (enum pool_access)access, &why), 0, "%s",
			     why.line);
		cr_assert_eq(pool_size_bytes(&pool), CRAFTED_BYTES);
		cr_assert_eq(pool.sb.base, LAYOUT_BASE_DEFAULT);
		cr_assert_eq((pool.control == NULL), (access == POOL_CHECK));
		pool_close(&pool);
	}
}

Test(pool_create, a_terabyte_costs_no_space)
{
	const char *path = scratch_path("big");
	struct stat st;

	cr_assert_eq(crafted_try(path, UINT64_C(1) << 40), 0, "%s", why.line);
	crafted_own(&pool, path);
	cr_assert_eq(stat(path, &st), 0);
	cr_assert_eq((uint64_t)st.st_size, (UINT64_C(1) << 40) + LAYOUT_HEAD_BYTES);
	cr_assert_lt(st.st_blocks * 512, 1 << 20);
	pool_close(&pool);
}

Test(pool_create, the_written_head_is_no_hole)
{
	const char *path = crafted_pool("a");
	int fd = crafted_open(path);

	cr_assert_geq(lseek(fd, 0, SEEK_HOLE), (off_t)LAYOUT_HEAD_WRITTEN_BYTES);
	close(fd);
}

Test(pool_create, creating_where_something_is_changes_nothing)
{
	const char *path = crafted_pool("a");
	char line[512];
	struct scratch_print before = scratch_print(path);

	cr_assert_eq(crafted_try(path, CRAFTED_BYTES), STATUS_USAGE);
	snprintf(line, sizeof(line), "%s: exists; name another file, or remove it", path);
	cr_assert_str_eq(why.line, line);
	struct scratch_print after = scratch_print(path);
	cr_assert(scratch_is_same(&before, &after));
	/* A symlink that leads nowhere is something, too: it must not be followed. */
	const char *name = scratch_path("link");
	cr_assert_eq(symlink(scratch_path("nowhere"), name), 0);
	cr_assert_eq(crafted_try(name, CRAFTED_BYTES), STATUS_USAGE);
	cr_assert(!pool_exists(scratch_path("nowhere")));
}

Test(pool_create, impossible_sizes_and_bases_are_refused)
{
	const char *path = scratch_path("a");
	struct pool_plan plan = {.size_bytes = CRAFTED_BYTES, .base = 4096};

	cr_assert_eq(crafted_try(path, 4096), STATUS_USAGE);
	cr_assert_eq(crafted_try(path, UINT64_MAX), STATUS_USAGE);
	cr_assert_eq(crafted_try(path, UINT64_C(1) << 47), STATUS_USAGE);
	cr_assert_eq(pool_create(path, &plan, &why), STATUS_USAGE);
	plan.base = UINT64_C(1) << 47;
	cr_assert_eq(pool_create(path, &plan, &why), STATUS_USAGE);
	plan.base = UINT64_C(0x300000000000);
	plan.size_bytes = CRAFTED_BYTES + 1;
	cr_assert_eq(pool_create(path, &plan, &why), 0, "%s", why.line);
	crafted_own(&pool, path);
	cr_assert_eq(pool.sb.base, UINT64_C(0x300000000000));
	cr_assert_eq(pool_size_bytes(&pool), CRAFTED_BYTES + LAYOUT_CHUNK_BYTES);
	pool_close(&pool);
}

static bool mount_tmpfs(const char *path, const char *options)
{
	return mkdir(path, 0700) == 0 && mount("heapsake", path, "tmpfs", MS_NOSUID, options) == 0;
}

static int count_files(const char *directory)
{
	char command[160];
	int count = -1;

	snprintf(command, sizeof(command), "ls -A %s | wc -l", directory);
	FILE *listing = popen(command, "r");
	cr_assert_not_null(listing);
	cr_assert_eq(fscanf(listing, "%d", &count), 1);
	pclose(listing);
	return count;
}

Test(pool_create, a_full_disk_at_create_is_status_6_and_leaves_nothing)
{
	const char *directory = scratch_path("small");

	if (!mount_tmpfs(directory, "size=32k,mode=700"))
		cr_skip_test("needs the right to mount a tmpfs");
	int status = crafted_try(scratch_path("small/a"), CRAFTED_BYTES);
	int left = count_files(directory);
	umount(directory);
	cr_assert_eq(status, STATUS_NO_SPACE);
	cr_assert_eq(left, 0);
}

/* kill -9 at random moments of a loop of creations: what has the name is whole, and there is no
 * litter where the file system has unnamed files. */
Test(pool_create, a_killed_creation_leaves_a_whole_pool_or_none)
{
	const char *path = scratch_path("a");
	int whole = 0, none = 0;

	for (int round = 0; round < 60; round++) {
		pid_t child = fork();
		if (child == 0) {
			struct pool_plan plan = {.size_bytes = CRAFTED_BYTES};
			for (;;) {
				pool_create(path, &plan, &why);
				unlink(path);
			}
		}
		usleep(1000 + (useconds_t)round * 137);
		kill(child, SIGKILL);
		cr_assert_eq(waitpid(child, NULL, 0), child);
		cr_assert_leq(count_files(scratch_directory), pool_exists(path) ? 1 : 0);
		if (!pool_exists(path)) {
			none++;
			cr_assert_eq(crafted_try(path, CRAFTED_BYTES), 0, "%s", why.line);
		} else {
			whole++;
		}
		crafted_own(&pool, path);
		pool_close(&pool);
		unlink(path);
	}
	fprintf(stderr, "killed creations: %d left a pool, %d none\n", whole, none);
}
