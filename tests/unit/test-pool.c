/* The pool file: refused without a trace, changed all or nothing. */
#include "crafted.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "config.h"
#include "control.h"
#include "os.h"

TestSuite(pool, .init = scratch_open, .fini = scratch_close);

static struct pool pool;

/* What must be refused, and never opened for long enough to notice. */
static void refused(const char *path, int status, const char *fact)
{
	char line[sizeof(why.line)];

	snprintf(line, sizeof(line), "%s: %s", path, fact);
	for (int access = POOL_READ; access <= POOL_OWN; access++) {
		alarm(20); /* a fifo must not block */
		cr_assert_eq(pool_open(&pool, path, (enum pool_access)access, &why), status, "%s", path);
		alarm(0);
		cr_assert_eq((int)why.status, status);
		cr_assert_str_eq(why.line, line);
	}
}

static void refused_unchanged(const char *path, int status, const char *fact)
{
	struct scratch_print before = scratch_print(path);

	refused(path, status, fact);
	struct scratch_print after = scratch_print(path);
	cr_assert(scratch_is_same(&before, &after), "%s: changed", path);
}

Test(pool, what_is_no_regular_file_is_refused_without_hanging)
{
	const char *path = scratch_path("fifo");
	cr_assert_eq(mkfifo(path, 0600), 0);
	refused(path, 2, "is a fifo, not a regular file; name the file itself");

	path = scratch_path("directory");
	cr_assert_eq(mkdir(path, 0700), 0);
	refused(path, 2, "is a directory, not a regular file; name the file itself");

	path = scratch_path("socket");
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	strcpy(address.sun_path, path);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	refused(path, 2, "is a socket, not a regular file; name the file itself");
	close(fd);

	refused("/dev/null", 2, "is a character device, not a regular file; name the file itself");
}

Test(pool, a_symlink_is_refused_even_to_a_good_pool)
{
	const char *target = crafted_pool("a");
	const char *path = scratch_path("link");

	cr_assert_eq(symlink(target, path), 0);
	refused(path, 2, "is a symbolic link, not a regular file; name the file itself");
}

Test(pool, what_is_not_there_is_told_so)
{
	refused(scratch_path("none"), 2, "no such pool; heapsake create makes one");
	refused(scratch_path("no/ne"), 2, "no such directory; make it first");
	cr_assert(!pool_exists(scratch_path("none")));
}

Test(pool, what_others_may_write_or_rename_is_refused)
{
	const char *path = crafted_pool("a");
	char fact[256];

	cr_assert_eq(chmod(path, 0620), 0);
	refused_unchanged(path, 2, "others may write to it (mode 0620, expected 0600); chmod 600 it, "
				   "if you trust what it holds");
	cr_assert_eq(chmod(path, 0602), 0);
	refused_unchanged(path, 2, "others may write to it (mode 0602, expected 0600); chmod 600 it, "
				   "if you trust what it holds");
	cr_assert_eq(chmod(path, 0600), 0);
	cr_assert_eq(chmod(scratch_directory, 0777), 0);
	snprintf(fact, sizeof(fact),
		 "anybody may replace files in its directory (mode 0777); chmod o-w %s",
		 scratch_directory);
	refused_unchanged(path, 2, fact);
	cr_assert_eq(crafted_try(scratch_path("b"), CRAFTED_BYTES), STATUS_USAGE);
	cr_assert_eq(chmod(scratch_directory, 01777), 0);
	crafted_own(&pool, path);
	pool_close(&pool);
}

Test(pool, a_second_name_is_refused)
{
	const char *path = crafted_pool("a");

	cr_assert_eq(link(path, scratch_path("b")), 0);
	refused_unchanged(path, 2, "has 2 names, expected 1; remove the other hard links");
}

Test(pool, a_foreign_owner_is_refused)
{
	if (geteuid() != 0)
		cr_skip_test("needs root to give a file away");
	const char *path = crafted_pool("a");
	cr_assert_eq(chown(path, 4711, 0), 0);
	refused_unchanged(path, 2, "belongs to user 4711, found us as user 0; "
				   "a pool is as trusted as code: use your own");
}

static const char *file_of(const char *name, const void *bytes, size_t len, off_t size)
{
	const char *path = scratch_path(name);
	int fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);

	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, bytes, len), (ssize_t)len);
	cr_assert_eq(ftruncate(fd, size), 0);
	close(fd);
	return path;
}

#define NOT_SIZED(n) \
	"not a heapsake pool: found " #n " bytes, expected at least 2097152; name another file"

Test(pool, what_is_no_pool_is_refused)
{
	refused_unchanged(file_of("empty", "", 0, 0), 4, NOT_SIZED(0));
	refused_unchanged(file_of("short", "#!/bin/sh\n", 10, 10), 4, NOT_SIZED(10));
	refused_unchanged(file_of("zeros", "", 0, 3 << 20), 4,
			  "not a heapsake pool: at offset 0 found 0x0000000000000000, "
			  "expected 0x656b617370616568; name another file");
	refused_unchanged(file_of("garbage", "SQLite format 3", 16, 3 << 20), 4,
			  "not a heapsake pool: at offset 0 found 0x66206574694c5153, "
			  "expected 0x656b617370616568; name another file");
}

Test(pool, a_truncated_pool_is_refused)
{
	const char *path = crafted_pool("a");

	cr_assert_eq(truncate(path, CRAFTED_BYTES), 0);
	refused_unchanged(path, 4, "truncated: found 16777216 bytes, expected 18874368; "
				   "restore it from a copy, or remove it");
	cr_assert_eq(truncate(path, 12288), 0);
	refused_unchanged(path, 4, "truncated: found 12288 bytes, expected at least 2097152; "
				   "restore it from a copy, or remove it");
	cr_assert_eq(truncate(path, 4096), 0);
	refused_unchanged(path, 4, NOT_SIZED(4096));
}

Test(pool, keep_is_fixed_by_the_first_run)
{
	const char *path = crafted_pool("a");
	char line[512];

	crafted_own(&pool, path);
	cr_assert_eq(pool_set_keep(&pool, KEEP_NONE, &why), 0);
	cr_assert_eq(pool_set_keep(&pool, KEEP_NONE, &why), 0);
	pool_close(&pool);
	crafted_own(&pool, path);
	cr_assert_eq(pool.sb.keep, KEEP_NONE);
	struct scratch_print before = scratch_print(path);
	cr_assert_eq(pool_set_keep(&pool, KEEP_HEAP, &why), STATUS_INCOMPATIBLE);
	snprintf(line, sizeof(line),
		 "%s: was made with keep none, asked for keep heap; use that keep, or --new", path);
	cr_assert_str_eq(why.line, line);
	struct scratch_print after = scratch_print(path);
	cr_assert(scratch_is_same(&before, &after));
	pool_close(&pool);
}

Test(pool, updates_alternate_between_the_slots)
{
	const char *path = crafted_pool("a");
	struct layout_superblock slots[2];

	crafted_own(&pool, path);
	cr_assert_eq(pool.newest_slot, 0);
	cr_assert_eq(pool_set_keep(&pool, KEEP_NONE, &why), 0);
	cr_assert_eq(pool.newest_slot, 1);
	cr_assert_eq(pool_grow(&pool, 2 * CRAFTED_BYTES, &why), 0, "%s", why.line);
	cr_assert_eq(pool.newest_slot, 0);
	crafted_read(path, 0, &slots[0]);
	crafted_read(path, 1, &slots[1]);
	cr_assert_eq(slots[0].seq, 4);
	cr_assert_eq(slots[1].seq, 3);
	pool_close(&pool);
}

Test(pool, growing_is_for_ever_and_shrinking_does_nothing)
{
	const char *path = crafted_pool("a");
	uint64_t run;

	crafted_own(&pool, path);
	cr_assert_eq(pool_grow(&pool, 3 * CRAFTED_BYTES - 5, &why), 0, "%s", why.line);
	cr_assert_eq(pool_size_bytes(&pool), 3 * CRAFTED_BYTES);
	cr_assert_eq(pool_grow(&pool, CRAFTED_BYTES, &why), 0);
	cr_assert_eq(pool_size_bytes(&pool), 3 * CRAFTED_BYTES);
	pool_close(&pool);
	crafted_own(&pool, path);
	cr_assert_eq(pool_size_bytes(&pool), 3 * CRAFTED_BYTES);
	cr_assert_eq(pool_file_offset(&pool, CRAFTED_BYTES, &run), CRAFTED_BYTES + LAYOUT_HEAD_BYTES);
	cr_assert_eq(run, 2 * CRAFTED_BYTES);
	cr_assert_eq(pool_grow(&pool, UINT64_MAX, &why), STATUS_USAGE);
	pool_close(&pool);
}

static void add_log(struct layout_superblock *sb)
{
	sb->extents[sb->extent_count++] = (struct layout_extent){
		.file_offset = LAYOUT_HEAD_BYTES + CRAFTED_BYTES,
		.len = LAYOUT_CHUNK_BYTES,
		.use = LAYOUT_USE_LOG,
	};
}

Test(pool, the_heap_goes_on_behind_other_extents)
{
	const char *path = crafted_pool("a");
	uint64_t run, log_end = LAYOUT_HEAD_BYTES + CRAFTED_BYTES + LAYOUT_CHUNK_BYTES;

	cr_assert_eq(truncate(path, (off_t)log_end), 0);
	crafted_change(path, add_log);
	crafted_own(&pool, path);
	cr_assert_eq(pool_grow(&pool, 2 * CRAFTED_BYTES, &why), 0, "%s", why.line);
	cr_assert_eq(pool.sb.extent_count, 3);
	cr_assert_eq(pool_file_offset(&pool, CRAFTED_BYTES - 4096, &run),
		     LAYOUT_HEAD_BYTES + CRAFTED_BYTES - 4096);
	cr_assert_eq(run, 4096);
	cr_assert_eq(pool_file_offset(&pool, CRAFTED_BYTES, &run), log_end);
	cr_assert_eq(run, CRAFTED_BYTES);
	pool_close(&pool);
	crafted_own(&pool, path);
	cr_assert_eq(pool_size_bytes(&pool), 2 * CRAFTED_BYTES);
	pool_close(&pool);
}

Test(pool, emptying_gives_the_space_back_and_makes_it_another_pool)
{
	const char *path = crafted_pool("a");
	struct stat st;
	uint8_t uuid[16];

	crafted_own(&pool, path);
	cr_assert_eq(pool_set_keep(&pool, KEEP_NONE, &why), 0);
	memcpy(uuid, pool.sb.uuid, sizeof(uuid));
	cr_assert_eq(fallocate(pool.fd, 0, LAYOUT_HEAD_BYTES, CRAFTED_BYTES), 0);
	cr_assert_eq(pool_reset(&pool, &why), 0, "%s", why.line);
	cr_assert_eq(pool.sb.keep, KEEP_UNSET);
	cr_assert_neq(memcmp(uuid, pool.sb.uuid, sizeof(uuid)), 0);
	cr_assert_eq(fstat(pool.fd, &st), 0);
	cr_assert_lt(st.st_blocks * 512, 1 << 20);
	cr_assert_eq((uint64_t)st.st_size, LAYOUT_HEAD_BYTES + CRAFTED_BYTES);
	pool_close(&pool);
}

static bool is_zero_in_file(uint64_t offset, size_t len)
{
	char bytes[4096];
	uint64_t run;
	cr_assert_eq(os_pread_all(pool.fd, bytes, len, pool_file_offset(&pool, offset, &run)), 0);
	for (size_t i = 0; i < len; i++)
		if (bytes[i] != 0)
			return false;
	return true;
}

static void store_in_file(uint64_t offset, size_t len)
{
	char bytes[4096];
	uint64_t run;
	memset(bytes, 0xab, sizeof(bytes));
	for (size_t done = 0; done < len; done += sizeof(bytes))
		cr_assert_eq(os_pwrite_all(pool.fd, bytes, sizeof(bytes),
					   pool_file_offset(&pool, offset + done, &run)), 0);
}

Test(pool, an_emptied_heap_reads_as_zeros_and_keeps_what_it_is)
{
	struct stat st;

	crafted_own(&pool, crafted_pool("a"));
	const struct layout_superblock before = pool.sb;
	const uint64_t end = pool_size_bytes(&pool);
	const size_t lens[] = {4096, 4 << 20}; /* overwritten, punched */
	for (unsigned i = 0; i < 2; i++) {
		store_in_file(0, 4096);
		store_in_file(5 << 20, lens[i]);
		store_in_file(end - 4096, 4096);
		cr_assert_not(is_zero_in_file(end - 4096, 4096));
		cr_assert_eq(pool_empty(&pool), 0);
		cr_assert(is_zero_in_file(0, 4096));
		for (size_t at = 0; at < lens[i]; at += 4096)
			cr_assert(is_zero_in_file((5 << 20) + at, 4096));
		cr_assert(is_zero_in_file(end - 4096, 4096));
	}
	cr_assert_eq(fstat(pool.fd, &st), 0);
	cr_assert_lt(st.st_blocks * 512, 1 << 20);
	cr_assert_eq(memcmp(&before, &pool.sb, sizeof(before)), 0);
	pool_close(&pool);
}

Test(pool, the_control_page_names_the_owner_while_it_runs)
{
	const char *path = crafted_pool("a");
	struct control_snapshot snapshot;
	struct pool reader;

	crafted_own(&pool, path);
	cr_assert_eq(pool_open(&reader, path, POOL_READ, &why), 0, "%s", why.line);
	cr_assert_eq(control_read(reader.control, &snapshot), 0);
	cr_assert_eq(snapshot.owner.pid, getpid());
	cr_assert(snapshot.flags & CONTROL_RUNNING);
	pool_close(&pool);
	cr_assert_eq(control_read(reader.control, &snapshot), 0);
	cr_assert(!(snapshot.flags & CONTROL_RUNNING));
	pool_close(&reader);
}

Test(pool, a_garbage_control_page_does_not_matter)
{
	const char *path = crafted_pool("a");
	int fd = crafted_open(path);
	char garbage[4096];

	memset(garbage, 0xa5, sizeof(garbage));
	cr_assert_eq(pwrite(fd, garbage, sizeof(garbage), LAYOUT_CONTROL_OFFSET), 4096);
	close(fd);
	crafted_own(&pool, path);
	struct control_snapshot snapshot;
	cr_assert_eq(control_read(pool.control, &snapshot), 0);
	pool_close(&pool);
}

Test(pool, a_relative_path_is_found_again_from_elsewhere)
{
	crafted_pool("a");
	cr_assert_eq(chdir(scratch_directory), 0);
	crafted_own(&pool, "a");
	cr_assert_str_eq(pool.path, scratch_path("a"));
	cr_assert_eq(chdir("/"), 0);
	close(pool.fd);
	cr_assert_geq(pool_fd(&pool), 0);
	pool_close(&pool);
}

Test(pool, our_descriptor_is_none_a_program_counts_on)
{
	const char *path = crafted_pool("a");

	close(2);
	crafted_own(&pool, path);
	cr_assert_gt(pool.fd, 2);
	int fd = open("/dev/null", O_RDWR);
	cr_assert_eq(fd, 2);
	pool_close(&pool);
}

Test(pool, a_tight_file_size_limit_is_a_refusal_and_not_a_signal)
{
	struct rlimit limit = {8 << 20, RLIM_INFINITY};
	const char *path = crafted_pool("a");

	crafted_own(&pool, path);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	cr_assert_eq(crafted_try(scratch_path("b"), CRAFTED_BYTES), STATUS_NO_SPACE);
	cr_assert_eq(pool_grow(&pool, 2 * CRAFTED_BYTES, &why), STATUS_NO_SPACE);
	pool_close(&pool);
	cr_assert_eq(pool_open(&pool, path, POOL_OWN, &why), STATUS_NO_SPACE);
	cr_assert(!pool_exists(scratch_path("b")));
}
