/* What of files is on media when an epoch is. */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>

#include "ours.h"
#include "process/process.h"
#include "two-lives.h"

TestSuite(synced, .init = scratch_open, .fini = scratch_close);

/* Pages that wait to be written; none where nobody can tell (before Linux 6.5, or in memory). */
static uint64_t waiting(const char *name)
{
	uint64_t counts[5] = {0}, whole[2] = {0};
	const int fd = open(scratch_path(name), O_RDONLY);

	EXPECT(fd >= 0);
	syscall(451 /* cachestat */, fd, whole, counts, 0);
	close(fd);
	return counts[1] + counts[2];
}

static int written(const char *name)
{
	const int fd = open(scratch_path(name), O_RDWR | O_CREAT, 0600);

	EXPECT(fd >= 0 && write(fd, "written", 7) == 7);
	return fd;
}

/* After threads go on, and before it is synced. */
static void renames_and_closes(void)
{
	char old[256];

	const int fd = written("old name");
	save();
	EXPECT(dup2(written("another"), fd) == fd);
	strcpy(old, scratch_path("old name"));
	EXPECT(rename(old, scratch_path("new name")) == 0);
	files_sync();
	EXPECT(waiting("new name") == 0);
}

Test(synced, file_renamed_and_closed_at_once_is_synced)
{
	first_lives(renames_and_closes);
}

static void writes_many(void)
{
	char name[16];

	for (unsigned i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "many-%u", i);
		written(name);
	}
	save();
	files_sync();
	EXPECT(waiting("many-0") == 0 && waiting("many-299") == 0);
}

Test(synced, very_many_files_are_synced)
{
	first_lives(writes_many);
}

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* Time stands still between two ticks. */
static void write_at(int fd, const char *text, int64_t time_ns)
{
	const struct timespec time = {time_ns / 1000000000, time_ns % 1000000000};

	EXPECT(pwrite(fd, text, strlen(text), 0) > 0);
	EXPECT(futimens(fd, (struct timespec[]){time, time}) == 0);
	save();
	files_sync();
}

static void writes_twice_in_a_tick(void)
{
	const int fd = written("ticks");

	for (unsigned i = 0; i < 100; i++) {
		const int64_t time_ns = now_ns() + 15000000;
		write_at(fd, "one", time_ns);
		if (now_ns() - time_ns > 19000000) /* the disk was slow: it was not the same tick */
			continue;
		write_at(fd, "two", time_ns);
		EXPECT(waiting("ticks") == 0);
		return;
	}
}

Test(synced, file_that_looks_like_it_did_a_tick_ago_is_synced_again)
{
	first_lives(writes_twice_in_a_tick);
}

/* From now on a disk that fails, for who asks it to be quick about it. */
static void fail_syncs(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fsync, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EIO),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};

	EXPECT(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	EXPECT(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

/* SQLite's: where there are locks it is the program's own description that hears of the disk. */
static void owes_what_it_has_heard(void)
{
	const int fd = written("locked"), other = written("other");

	hear();
	process_may_hold_locks = true;
	fail_syncs();
	save();
	files_sync();
	EXPECT(process_owes_errors);
	EXPECT(process_take_error(fd) == -EIO && process_take_error(fd) == 0);
	EXPECT(process_take_error(other) == -EIO && process_take_error(other) == 0);
	EXPECT(is_told("cannot be synced"));
}

Test(synced, error_that_the_program_would_have_heard_is_owed_to_it)
{
	first_lives(owes_what_it_has_heard);
}

static void owes_nothing_of_its_own(void)
{
	const int fd = written("not locked");

	hear();
	fail_syncs();
	save();
	files_sync();
	EXPECT(process_take_error(fd) == 0);
}

Test(synced, error_of_a_description_of_our_own_is_not_owed)
{
	first_lives(owes_nothing_of_its_own);
}
