/*
 * What a program has said of its memory holds in its next lives: what a child inherits, what is
 * dumped, what is locked, where pages are huge, where a touch is an error, what grows, where pages
 * are to lie, what nobody may change.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "killed.h"

#define PAGE 4096ul
#define HUGE (2ul << 20)
#define LIVES 3
#define SYS_MSEAL 462
#define DROPPABLE 8
#define GUARD_INSTALL 102
#define GUARD_REMOVE 103

/* ---- What the kernel says ---- */

/* Which of these are among the flags of the mapping that `at` is in. */
static void flags_of(const void *at, const char *wanted, char *ret_found)
{
	FILE *smaps = fopen("/proc/self/smaps", "r");
	char line[512], flags[512] = "";
	unsigned long start, end;
	bool is_it = false;

	while (smaps && fgets(line, sizeof(line), smaps)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			is_it = start <= (unsigned long)at && (unsigned long)at < end;
		if (is_it && strncmp(line, "VmFlags:", 8) == 0)
			memcpy(flags, line + 8, sizeof(line) - 8);
	}
	if (smaps)
		fclose(smaps);
	*ret_found = 0;
	for (; *wanted; wanted += 2) {
		const char flag[] = {' ', wanted[0], wanted[1], 0};
		if (strstr(flags, flag))
			strcat(ret_found, flag + 1);
	}
}

#define OF_INTEREST "dcwfddhgnhmgrrsrlogd"

static void must_be(const void *at, const char *expected, int line)
{
	char found[64];

	flags_of(at, OF_INTEREST, found);
	if (strcmp(found, expected) == 0)
		return;
	printf("line %d: flags \"%s\", expected \"%s\"\n", line, found, expected);
	failures++;
}
static bool has_flag(const void *at, const char *flag)
{
	char found[64];

	flags_of(at, flag, found);
	return *found;
}
#define MUST_BE(at, expected) must_be(at, expected, __LINE__)

/* ---- Memory of every kind ---- */

static char *map(size_t len, int flags)
{
	char *at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

	MUST(at != MAP_FAILED);
	memset(at, 7, len);
	return at;
}

static char *many, *moved, *shut, *locked, *asked, *guarded, *grows, *huge, *of_heap, *stale, *named;
static char *sealed, *bound, *emptied, *refilled;
static bool has_guards, has_names, has_seals, has_nodes;

static void set_many(void)
{
	many = map(20 * PAGE, 0);
	MUST(madvise(many + PAGE, PAGE, MADV_DONTFORK) == 0);
	MUST(madvise(many + 3 * PAGE, PAGE, MADV_WIPEONFORK) == 0);
	MUST(madvise(many + 5 * PAGE, PAGE, MADV_DONTDUMP) == 0);
	MUST(syscall(SYS_madvise, many + 7 * PAGE, PAGE, MADV_NOHUGEPAGE) == 0);
	MUST(madvise(many + 9 * PAGE, PAGE, MADV_RANDOM) == 0);
	MUST(madvise(many + 10 * PAGE, PAGE, MADV_SEQUENTIAL) == 0);
	MUST(madvise(many + 12 * PAGE, 5 * PAGE, MADV_DONTFORK) == 0);
	MUST(madvise(many + 13 * PAGE, 2 * PAGE, MADV_DONTDUMP) == 0);
	MUST(madvise(many + 14 * PAGE, 5 * PAGE, MADV_DOFORK) == 0);
	huge = map(4 * HUGE, 0);
	huge = (char *)(((unsigned long)huge + HUGE - 1) & ~(HUGE - 1));
	MUST(madvise(huge, HUGE, MADV_HUGEPAGE) == 0);
	/* What takes its place is as if nothing had been said. */
	stale = map(4 * PAGE, 0);
	MUST(madvise(stale, 4 * PAGE, MADV_DONTFORK) == 0);
	MUST(munmap(stale, PAGE) == 0);
	MUST(mmap(stale, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		  0) == stale);
	shut = map(4 * PAGE, 0);
	MUST(madvise(shut, 4 * PAGE, MADV_DONTDUMP) == 0 && mprotect(shut, 4 * PAGE, PROT_NONE) == 0);
	of_heap = aligned_alloc(PAGE, 4 * PAGE);
	memset(of_heap, 7, 4 * PAGE);
	MUST(madvise(of_heap + PAGE, PAGE, MADV_DONTDUMP) == 0);
}

static void check_many(void)
{
	static const char *const expected[] = {"",   "dc", "", "wf", "", "dd",   "",   "nh", "", "rr",
					       "sr", "",   "dc", "dcdd", "dd", "", "", "", "", ""};

	for (unsigned i = 0; i < 20; i++)
		MUST_BE(many + i * PAGE, expected[i]);
	MUST_BE(huge, "hg");
	MUST_BE(huge + HUGE, "");
	MUST_BE(stale, "");
	MUST_BE(stale + PAGE, "");
	MUST_BE(stale + 2 * PAGE, "dc");
	MUST_BE(shut, "dd");
	MUST_BE(of_heap + PAGE, "dd");
	MUST(of_heap[PAGE] == 7 && of_heap[0] == 7);
}

static void set_moved(void)
{
	char *from = map(6 * PAGE, 0);
	char *room = mmap(NULL, 64 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	MUST(madvise(from, 6 * PAGE, MADV_DONTDUMP) == 0);
	moved = mremap(from, 6 * PAGE, 8 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, room);
	MUST(moved == room);
	MUST(mmap(from, 6 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		  0) == from);
	stale = stale ? stale : from;
}

static void check_moved(void)
{
	MUST_BE(moved, "dd");
	MUST_BE(moved + 7 * PAGE, "dd");
	MUST_BE(moved + 8 * PAGE, "");
}

static void set_locked(void)
{
	locked = map(8 * PAGE, MAP_LOCKED);
	MUST(munlock(locked + 4 * PAGE, 4 * PAGE) == 0);
	MUST(mlock(locked + 6 * PAGE, 10) == 0);
	asked = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(mlock2(asked, 4 * PAGE, MLOCK_ONFAULT) == 0);
	asked[PAGE] = 7;
}

static void check_locked(void)
{
	unsigned char in[4];

	MUST_BE(locked, "lo");
	MUST_BE(locked + 4 * PAGE, "");
	MUST_BE(locked + 6 * PAGE, "lo");
	MUST_BE(locked + 7 * PAGE, "");
	MUST_BE(asked, "lo");
	MUST(mincore(asked, 4 * PAGE, in) == 0);
	MUST((in[1] & 1) && !(in[3] & 1));
}

/* ---- What it means ---- */

/* How a child ends that does this. */
static int try_in_child(void (*what)(void))
{
	int status = 0;
	const pid_t child = fork();

	if (child == 0) {
		signal(SIGSEGV, SIG_DFL);
		what();
		_exit(0);
	}
	MUST(waitpid(child, &status, 0) == child);
	return status;
}

static void read_not_inherited(void)
{
	_exit(*(volatile char *)(many + PAGE));
}

static void read_wiped(void)
{
	_exit(many[3 * PAGE] == 0 && many[2 * PAGE] == 7 ? 33 : 34);
}

static void read_guarded(void)
{
	_exit(*(volatile char *)(guarded + PAGE) ? 35 : 36);
}

static void grow(void)
{
	grows[-(long)(2 * PAGE)] = 1;
	_exit(37);
}

static bool is_killed_by_touch(int status)
{
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
}

static void set_special(void)
{
	char *room = mmap(NULL, 4096 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	munmap(room, 4096 * PAGE); /* nothing below it: what grows keeps its distance */
	grows = mmap(room + 2048 * PAGE, 2 * PAGE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_GROWSDOWN, -1, 0);
	MUST(grows != MAP_FAILED);
	grows[0] = 1;
	grows -= PAGE;
	grows[0] = 2;
	guarded = map(4 * PAGE, 0);
	has_guards = madvise(guarded + PAGE, 2 * PAGE, GUARD_INSTALL) == 0;
	if (has_guards)
		MUST(madvise(guarded + 2 * PAGE, PAGE, GUARD_REMOVE) == 0);
	named = map(PAGE, 0);
	has_names = prctl(53, 0, named, PAGE, "a name") == 0; /* PR_SET_VMA_ANON_NAME */
}

/* What says where pages lie, and what nobody may change, is said by number. */
static void set_last(void)
{
	sealed = map(3 * PAGE, 0);
	has_seals = syscall(SYS_MSEAL, sealed + PAGE, PAGE, 0) == 0;
	bound = map(4 * PAGE, 0);
	has_nodes = syscall(SYS_mbind, bound + PAGE, 2 * PAGE, MPOL_BIND, (unsigned long[]){1}, 64, 0) == 0;
	if (has_nodes)
		MUST(syscall(SYS_mbind, bound + 2 * PAGE, PAGE, MPOL_DEFAULT, NULL, 0, 0) == 0);
}

/* What the kernel may empty at any time comes back empty, and is no reason not to be kept. */
static void set_emptied(void)
{
	emptied = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, DROPPABLE | MAP_ANONYMOUS, -1, 0);
	if (emptied == MAP_FAILED)
		emptied = NULL;
	if (!emptied)
		return;
	memset(emptied, 7, 2 * PAGE);
	/* And what takes the place of such memory, and looks like it, is kept. */
	refilled = mmap(NULL, 4 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	refilled += PAGE; /* with neighbours it is never one with */
	MUST(mmap(refilled, 2 * PAGE, PROT_READ | PROT_WRITE, DROPPABLE | MAP_ANONYMOUS | MAP_FIXED, -1,
		  0) == refilled);
	for (int i = 0; i < 20; i++) { /* some epochs */
		emptied[0] = (char)i;
		many[0] ^= 1;
		usleep(10000);
	}
	MUST(mmap(refilled, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		  0) == refilled);
	memset(refilled, 7, 2 * PAGE);
}

static void check_emptied(void)
{
	if (!emptied)
		return;
	MUST_BE(emptied, "wfdd");
	MUST(emptied[0] == 0 && emptied[2 * PAGE - 1] == 0);
	emptied[PAGE] = 8;
	MUST(refilled[0] == 7 && refilled[PAGE] == 7);
}

/* On DAX, in the folder that is given: stores to the file are on media without a call. */
static char *synced;

static void set_synced(const char *folder)
{
	char name[256];

	snprintf(name, sizeof(name), "%s/synced", folder);
	const int fd = open(name, O_RDWR | O_CREAT, 0600);
	MUST(fd >= 0 && ftruncate(fd, PAGE) == 0);
	synced = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED_VALIDATE | MAP_SYNC, fd, 0);
	MUST(synced != MAP_FAILED);
	close(fd);
}

static void check_synced(void)
{
	if (synced)
		MUST(has_flag(synced, "sf"));
}

static int policy_at(const char *at)
{
	int mode = -1;

	MUST(syscall(SYS_get_mempolicy, &mode, NULL, 0, at, MPOL_F_ADDR) == 0);
	return mode;
}

static void check_last(void)
{
	if (has_seals)
		MUST(mprotect(sealed + PAGE, PAGE, PROT_READ) == -1 && errno == EPERM);
	MUST(mprotect(sealed, PAGE, PROT_READ) == 0 && mprotect(sealed, PAGE, PROT_READ | PROT_WRITE) == 0);
	if (has_nodes)
		MUST(policy_at(bound + PAGE) == MPOL_BIND && policy_at(bound) == MPOL_DEFAULT &&
		     policy_at(bound + 2 * PAGE) == MPOL_DEFAULT);
	MUST(sealed[PAGE] == 7 && bound[PAGE] == 7);
}

static bool has_line(const char *wanted)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512];
	bool is_there = false;

	while (maps && fgets(line, sizeof(line), maps))
		is_there |= strstr(line, wanted) != NULL;
	if (maps)
		fclose(maps);
	return is_there;
}

static void check_special(void)
{
	MUST(is_killed_by_touch(try_in_child(read_not_inherited)));
	MUST(WEXITSTATUS(try_in_child(read_wiped)) == 33);
	MUST_BE(grows, "gd");
	MUST(grows[0] == 2 && grows[PAGE] == 1);
	MUST(WEXITSTATUS(try_in_child(grow)) == 37);
	if (has_guards)
		MUST(is_killed_by_touch(try_in_child(read_guarded)));
	MUST(guarded[0] == 7 && (!has_guards || guarded[2 * PAGE] == 0));
	MUST(!has_names || has_line("[anon:a name]"));
}

/* ---- All of it ---- */

static char *future;

static void lock_all(void)
{
	if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0)
		return;
	future = map(2 * PAGE, 0);
	MUST(munlock(future, PAGE) == 0);
}

static void check_all_locked(void)
{
	MUST_BE(future, "");
	MUST_BE(future + PAGE, "lo");
	MUST_BE(many, "lo");
	MUST_BE(asked, "lo");
	MUST_BE(of_heap, "lo");
	char *later = map(PAGE, 0);
	MUST_BE(later, "lo");
	MUST(munmap(later, PAGE) == 0);
}

static void check(void)
{
	check_many();
	check_moved();
	check_locked();
	check_special();
	check_last();
	check_synced();
}

int main(int argc, char **argv)
{
	if (argc > 1)
		set_synced(argv[1]);
	set_many();
	set_moved();
	set_locked();
	set_special();
	set_last();
	check();
	set_emptied();
	for (int life = 2; life <= LIVES; life++) {
		die();
		check();
		check_emptied();
	}
	lock_all();
	if (future) {
		check_all_locked();
		die();
		check_all_locked();
	}
	munlockall();
	die();
	MUST_BE(many, "");
	MUST_BE(locked, "");
	printf("%d failures\n", failures);
	return failures != 0;
}
