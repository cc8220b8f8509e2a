/* Windows: nothing is charged before it is used, a full disk is an error code, and after a freeze
 * no store reaches the file. */
#include "crafted.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "control.h"
#include "window-range.h"
#include "window.h"

TestSuite(window, .init = scratch_open, .fini = scratch_close);

#define MIB ((size_t)1 << 20)

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED true
#elif defined(__has_feature)
#define SANITIZED __has_feature(address_sanitizer)
#else
#define SANITIZED false
#endif

static struct pool pool;
static struct window window;

static void open_shared(const char *path)
{
	cr_assert_eq(pool_open(&pool, path, POOL_OWN, &why), 0, "%s", why.line);
	cr_assert_eq(window_open(&window, WINDOW_SHARED, &pool, pool.sb.base, pool.sb.size_bytes, &why),
		     0, "%s", why.line);
}

static void open_private(size_t size_bytes)
{
	cr_assert_eq(window_open(&window, WINDOW_PRIVATE, NULL, LAYOUT_BASE_DEFAULT, size_bytes, &why),
		     0, "%s", why.line);
}

static bool is_filled(const char *from, size_t len, char value)
{
	for (size_t i = 0; i < len; i++)
		if (from[i] != value)
			return false;
	return true;
}

/* One byte of the heap as the file has it. */
static char file_byte(size_t offset)
{
	uint64_t run;
	char byte = 0;

	cr_assert_eq(pread(pool_fd(&pool), &byte, 1, (off_t)pool_file_offset(&pool, offset, &run)), 1);
	return byte;
}

Test(window, private_memory_is_zero_writable_and_zero_again_after_a_purge)
{
	open_private(64 * MIB);
	cr_assert_eq(window_grow(&window, 4 * MIB, 2 * MIB), 0);
	char *p = window.base + 4 * MIB;
	cr_assert(is_filled(p, 2 * MIB, 0));
	memset(p, 1, 2 * MIB);
	cr_assert_eq(window_purge(&window, 5 * MIB, MIB), 0);
	cr_assert(is_filled(p, MIB, 1));
	cr_assert(is_filled(p + MIB, MIB, 0));
	cr_assert_eq(window_grow(&window, 5 * MIB, MIB), 0, "a purged range may be grown again");
	cr_assert_eq(window.open_bytes, 2 * MIB);
	window_close(&window);
}

Test(window, shared_memory_is_the_file)
{
	open_shared(crafted_pool("a"));
	cr_assert_eq(window_grow(&window, 0, 2 * MIB), 0);
	cr_assert(is_filled(window.base, 2 * MIB, 0));
	memset(window.base, 7, 2 * MIB);
	cr_assert_eq(file_byte(MIB), 7);
	cr_assert_eq(window_purge(&window, 0, MIB), 0);
	cr_assert_eq(file_byte(0), 0);
	cr_assert(is_filled(window.base, MIB, 0));
	cr_assert(is_filled(window.base + MIB, MIB, 7));
	cr_assert_eq(window_grow(&window, 0, MIB), 0);
	struct control_snapshot snapshot;
	cr_assert_eq(control_read(pool.control, &snapshot), 0);
	cr_assert_eq(snapshot.open_bytes, 2 * MIB);
	window_close(&window);
	pool_close(&pool);
}

static void sigsegv_exit(int signal)
{
	_exit(signal == SIGSEGV ? 77 : 78);
}

/* 77: SIGSEGV, 78: SIGBUS, 0: the store went through. */
static int store_in_child(char *at)
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		signal(SIGSEGV, sigsegv_exit);
		signal(SIGBUS, sigsegv_exit);
		*(volatile char *)at = 1;
		_exit(0);
	}
	cr_assert_eq(waitpid(child, &status, 0), child);
	return WEXITSTATUS(status);
}

Test(window, what_is_not_open_cannot_be_touched)
{
	open_shared(crafted_pool("a"));
	cr_assert_eq(window_grow(&window, 0, MIB), 0);
	cr_assert_eq(store_in_child(window.base), 0);
	cr_assert_eq(store_in_child(window.base + MIB), 77);
	cr_assert_eq(store_in_child(window.base + window.size_bytes - 1), 77);
	cr_assert_eq(window_grow(&window, window.size_bytes, 4096), -ENOMEM);
	cr_assert_eq(window_grow(&window, 4096, window.size_bytes), -ENOMEM);
	cr_assert_eq(window.open_bytes, MIB);
}

Test(window, a_taken_address_is_refused_naming_the_occupant)
{
	char *base = (char *)(uintptr_t)LAYOUT_BASE_DEFAULT;
	char *taken = mmap(base + 8 * MIB, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
			   -1, 0);

	cr_assert_eq(taken, base + 8 * MIB);
	cr_assert_eq(window_open(&window, WINDOW_PRIVATE, NULL, LAYOUT_BASE_DEFAULT, 16 * MIB, &why),
		     STATUS_INCOMPATIBLE);
	cr_assert_eq(strncmp(why.line,
			     "heap: its addresses from 0x200000000000 (16777216 bytes) are taken by "
			     "\"200000800000-200000801000 r--p ",
			     strlen("heap: its addresses from 0x200000000000 (16777216 bytes) are taken "
				    "by \"200000800000-200000801000 r--p ")),
		     0, "%s", why.line);
	cr_assert_not_null(strstr(why.line, "; make a pool with another --base"));
	cr_assert_eq(store_in_child(base), 77, "nothing of it was mapped");
}

Test(window, a_tight_address_space_limit_halves_the_window)
{
	struct rlimit limit = {UINT64_C(2) << 30, RLIM_INFINITY};

	if (SANITIZED)
		cr_skip_test("sanitizers need the whole address space");
	cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
	open_private((size_t)64 << 30);
	cr_assert_geq(window.size_bytes, 64 * MIB);
	cr_assert_leq(window.size_bytes, UINT64_C(2) << 30);
	cr_assert_eq(window_grow(&window, window.size_bytes - MIB, MIB), 0);
	cr_assert_eq(window_grow(&window, window.size_bytes, MIB), -ENOMEM);
	window_close(&window);
	limit.rlim_cur = 32 << 20;
	cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
	int status = window_open(&window, WINDOW_PRIVATE, NULL, LAYOUT_BASE_DEFAULT,
				 UINT64_C(1) << 30, &why);
	limit.rlim_cur = RLIM_INFINITY;
	cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
	cr_assert_eq(status, STATUS_INCOMPATIBLE);
	cr_assert_not_null(strstr(why.line, "raise ulimit -v"), "%s", why.line);
}

static void split_heap(struct layout_superblock *sb)
{
	struct layout_extent *extents = sb->extents;

	sb->extent_count = 2;
	extents[0].len = CRAFTED_BYTES / 2;
	extents[1] = extents[0];
	extents[1].file_offset = LAYOUT_HEAD_BYTES + CRAFTED_BYTES;
}

Test(window, a_heap_in_two_extents_is_one_window)
{
	const char *path = crafted_pool("a");
	size_t seam = CRAFTED_BYTES / 2;

	cr_assert_eq(truncate(path, LAYOUT_HEAD_BYTES + 2 * CRAFTED_BYTES), 0);
	crafted_change(path, split_heap);
	open_shared(path);
	cr_assert_eq(window_grow(&window, seam - MIB, 2 * MIB), 0);
	memset(window.base + seam - MIB, 9, 2 * MIB);
	cr_assert_eq(file_byte(seam - 1), 9);
	cr_assert_eq(file_byte(seam), 9);
	char between;
	cr_assert_eq(pread(pool.fd, &between, 1, (off_t)(LAYOUT_HEAD_BYTES + seam)), 1);
	cr_assert_eq(between, 0);
	cr_assert_eq(window_purge(&window, seam - 4096, 8192), 0);
	cr_assert(is_filled(window.base + seam - 4096, 8192, 0));
	cr_assert_eq(window_grow(&window, seam - 4096, 8192), 0);
	cr_assert_eq(window_freeze(&window), 0);
	cr_assert_eq(window.base[seam - MIB], 9);
	cr_assert_eq(window.base[seam + MIB - 1], 9);
	window_close(&window);
	pool_close(&pool);
}

Test(window, after_a_freeze_no_store_reaches_the_file)
{
	open_shared(crafted_pool("a"));
	cr_assert_eq(window_grow(&window, 0, MIB), 0);
	cr_assert_eq(window_grow(&window, 4 * MIB, MIB), 0);
	memset(window.base, 1, MIB);
	memset(window.base + 4 * MIB, 2, MIB);
	cr_assert_eq(window_freeze(&window), 0);
	cr_assert_eq(window_freeze(&window), 0, "twice is once");
	cr_assert(is_filled(window.base, MIB, 1));
	cr_assert(is_filled(window.base + 4 * MIB, MIB, 2));
	memset(window.base, 3, MIB);
	cr_assert_eq(file_byte(0), 1);
	cr_assert_eq(store_in_child(window.base + 2 * MIB), 77);

	cr_assert_eq(window_grow(&window, MIB, MIB), 0, "grows on, in memory of its own");
	memset(window.base + MIB, 4, MIB);
	cr_assert_eq(file_byte(MIB), 0);
	cr_assert_eq(window_purge(&window, 4 * MIB, MIB), 0);
	cr_assert(is_filled(window.base + 4 * MIB, MIB, 0), "zeros, not the file's bytes");
	cr_assert_eq(file_byte(4 * MIB), 2);
	struct control_snapshot snapshot;
	cr_assert_eq(control_read(pool.control, &snapshot), 0);
	cr_assert(snapshot.flags & CONTROL_PRIVATE);
	window_close(&window);
	pool_close(&pool);
}

/* The child of a frozen heap shows pages of the file; the next owner would empty it under it. */
Test(window, a_frozen_childs_memory_is_safe_from_the_next_owner)
{
	const char *path = crafted_pool("a");
	int go[2], status;
	char word;

	cr_assert_eq(pipe(go), 0);
	open_shared(path);
	cr_assert_eq(window_grow(&window, 0, MIB), 0);
	memset(window.base, 5, MIB);
	cr_assert_eq(window_freeze(&window), 0);
	pid_t child = fork();
	if (child == 0) {
		close(go[1]);
		pool_forget(&pool);
		window.pool = NULL;
		ssize_t n = read(go[0], &word, 1);
		_exit(n == 0 && is_filled(window.base, MIB, 5) &&
				      window_grow(&window, MIB, MIB) == 0 ?
			      0 :
			      1);
	}
	close(go[0]);
	window_close(&window);
	pool_close(&pool);
	cr_assert_eq(pool_open(&pool, path, POOL_OWN, &why), STATUS_BUSY);
	cr_assert_not_null(strstr(why.line, "forked children of its last owner"), "%s", why.line);
	close(go[1]);
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert_eq(status, 0);
	cr_assert_eq(pool_open(&pool, path, POOL_OWN, &why), 0, "%s", why.line);
	pool_close(&pool);
}

Test(window, purging_works_without_any_descriptor)
{
	const char *path = crafted_pool("a");

	open_shared(path);
	cr_assert_eq(window_grow(&window, 0, MIB), 0);
	memset(window.base, 6, MIB);
	close(pool.fd);
	cr_assert_eq(unlink(path), 0);
	cr_assert_lt(pool_fd(&pool), 0);
	cr_assert_eq(window_purge(&window, 0, MIB), 0);
	cr_assert(is_filled(window.base, MIB, 0));
	cr_assert_neq(window_grow(&window, MIB, MIB), 0, "no descriptor, no growth");
	cr_assert_eq(window.open_bytes, MIB);
}

/* Writes to each page it gets, until it gets no more: any SIGBUS fails the test. */
static void fill_small_disk(const char *path)
{
	size_t at = 0;
	int error = 0;

	open_shared(path);
	while (at < window.size_bytes && !(error = window_grow(&window, at, MIB))) {
		memset(window.base + at, 1, MIB);
		at += MIB;
	}
	cr_assert_eq(error, -ENOSPC);
	cr_assert_geq(at, 4 * MIB);
	cr_assert_eq(window.open_bytes, at);
	cr_assert_eq(store_in_child(window.base + at), 77, "what failed to grow is still closed");
	cr_assert(is_filled(window.base, at, 1));
	cr_assert_eq(window_grow(&window, at, MIB), -ENOSPC);
	cr_assert_eq(window_purge(&window, 0, MIB), 0);
	cr_assert_eq(window_grow(&window, at, MIB), 0, "space given back can be had elsewhere");
	memset(window.base + at, 2, MIB);
	cr_assert_eq(window_grow(&window, 0, MIB), -ENOSPC, "and then not again here");
	cr_assert(is_filled(window.base + MIB, at - MIB, 1));
	window_close(&window);
	pool_close(&pool);
}

Test(window, a_full_disk_is_an_error_code_and_never_sigbus)
{
	const char *directory = scratch_path("small");

	cr_assert_eq(mkdir(directory, 0700), 0);
	if (mount("heapsake", directory, "tmpfs", MS_NOSUID, "size=8m,mode=700") != 0)
		cr_skip_test("needs the right to mount a tmpfs");
	const char *path = scratch_path("small/a");
	struct pool_plan plan = {.size_bytes = 64 * MIB};
	int created = pool_create(path, &plan, &why);
	int status = -1;
	pid_t child = fork();
	if (child == 0) {
		if (!created)
			fill_small_disk(path);
		_exit(created);
	}
	waitpid(child, &status, 0);
	umount2(directory, MNT_DETACH);
	cr_assert_eq(status, 0);
}

/* Is the flag `name` in the VmFlags of the mapping that holds address? */
static bool has_vm_flag(const void *address, const char *name)
{
	char line[512];
	bool is_inside = false, has_flag = false;
	FILE *smaps = fopen("/proc/self/smaps", "r");

	cr_assert_not_null(smaps);
	while (fgets(line, sizeof(line), smaps)) {
		unsigned long start, end;
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			is_inside = (uintptr_t)address >= start && (uintptr_t)address < end;
		else if (is_inside && !strncmp(line, "VmFlags:", 8))
			has_flag = strstr(line, name) != NULL;
	}
	fclose(smaps);
	return has_flag;
}

Test(window, huge_pages_are_wanted_beyond_the_first_8_mib_only)
{
	if (access("/sys/kernel/mm/transparent_hugepage", F_OK) != 0)
		cr_skip_test("this kernel has no transparent huge pages");
	open_private(64 * MIB);
	for (size_t at = 0; at < 24 * MIB; at += MIB)
		cr_assert_eq(window_grow(&window, at, MIB), 0);
	cr_assert(!has_vm_flag(window.base + 4 * MIB, " hg"));
	cr_assert(has_vm_flag(window.base + 16 * MIB, " hg"));
	window_close(&window);
}

Test(window, populating_is_only_a_hint)
{
	open_private(64 * MIB);
	cr_assert_eq(window_grow(&window, 0, 2 * MIB), 0);
	window_populate(&window, 0, 2 * MIB);
	unsigned char resident[512];
	cr_assert_eq(mincore(window.base, 2 * MIB, resident), 0);
	cr_assert(is_filled(window.base, 2 * MIB, 0));
	window_populate(&window, 32 * MIB, MIB); /* not open: fails invisibly */
	window_close(&window);
}

Test(window, ranges_merge_and_a_full_table_changes_nothing)
{
	window = (struct window){0};
	cr_assert_eq(window_range_add(&window, 10, 20), 0);
	cr_assert_eq(window_range_add(&window, 30, 40), 0);
	cr_assert_eq(window_range_add(&window, 20, 30), 0);
	cr_assert_eq(window.range_count, 1);
	cr_assert_eq(window.open_bytes, 30);
	cr_assert_eq(window_range_add(&window, 15, 25), 0, "again");
	cr_assert_eq(window.open_bytes, 30);
	cr_assert_eq(window_range_add(&window, 0, 5), 0);
	cr_assert_eq(window.ranges[0].end, 5);
	cr_assert_eq(window.ranges[1].start, 10);
	for (size_t at = 100; window.range_count < WINDOW_RANGE_MAX; at += 10)
		cr_assert_eq(window_range_add(&window, at, at + 5), 0);
	size_t before = window.open_bytes;
	cr_assert_eq(window_range_add(&window, 10000, 10001), -ENOMEM);
	cr_assert_eq(window.open_bytes, before);
	cr_assert_eq(window_range_add(&window, 105, 110), 0, "touching ranges need no entry");
	cr_assert_eq(window.range_count, WINDOW_RANGE_MAX - 1);
}

Test(window, a_pool_of_a_terabyte_opens_and_uses_nothing)
{
	const char *path = scratch_path("big");
	struct pool_plan plan = {.size_bytes = UINT64_C(1) << 40};
	struct stat st;

	cr_assert_eq(pool_create(path, &plan, &why), 0, "%s", why.line);
	open_shared(path);
	cr_assert_eq(window.size_bytes, plan.size_bytes);
	cr_assert_eq(window_grow(&window, window.size_bytes - MIB, MIB), 0);
	window.base[window.size_bytes - 1] = 1;
	cr_assert_eq(stat(path, &st), 0);
	cr_assert_lt(st.st_blocks * 512, 4 << 20);
	window_close(&window);
	pool_close(&pool);
}
