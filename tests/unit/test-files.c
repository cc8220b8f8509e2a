/* Files that have a name or had one, pipes, numbers. */
#include <errno.h>
#include <mqueue.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>

#include "ours.h"
#include "process/process.h"
#include "two-lives.h"

TestSuite(files, .init = scratch_open, .fini = scratch_close);

/* ---- regular files ---- */

static void reads_and_writes(void)
{
	const char *path = scratch_path("file");
	int fd = open(path, O_RDWR | O_CREAT, 0600);

	EXPECT(write(fd, "0123456789", 10) == 10 && lseek(fd, 4, SEEK_SET) == 4);
	both->fd[0] = fcntl(fd, F_DUPFD, 50);           /* one description */
	both->fd[1] = open(path, O_RDONLY | O_CLOEXEC); /* another */
	both->fd[2] = fd;
	both->fd[3] = open(scratch_path("."), O_RDONLY | O_DIRECTORY);
	save();
}

static void reads_on(void)
{
	char c;

	EXPECT(fcntl(both->fd[1], F_GETFD) == FD_CLOEXEC && fcntl(both->fd[0], F_GETFD) == 0);
	EXPECT((fcntl(both->fd[2], F_GETFL) & O_ACCMODE) == O_RDWR);
	EXPECT((fcntl(both->fd[1], F_GETFL) & O_ACCMODE) == O_RDONLY);
	EXPECT(read(both->fd[2], &c, 1) == 1 && c == '4');
	EXPECT(read(both->fd[0], &c, 1) == 1 && c == '5');
	EXPECT(read(both->fd[1], &c, 1) == 1 && c == '0');
	EXPECT(faccessat(both->fd[3], "file", F_OK, 0) == 0);
	EXPECT(fcntl(both->fd[3] + 1, F_GETFD) == -1);
}

Test(files, offsets_are_where_they_were_and_shared_ones_stay_shared)
{
	two_lives(reads_and_writes, reads_on);
}

static void writes_output(void)
{
	both->fd[0] = open(scratch_path("out"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
	both->fd[1] = open(scratch_path("log"), O_WRONLY | O_CREAT | O_APPEND, 0600);
	EXPECT(write(both->fd[0], "once\n", 5) == 5 && write(both->fd[1], "a\n", 2) == 2);
	save();
	EXPECT(write(both->fd[0], "twice?\n", 7) == 7 && write(both->fd[1], "b\n", 2) == 2);
}

static void writes_it_again(void)
{
	char bytes[64] = "";

	EXPECT(write(both->fd[0], "twice?\n", 7) == 7 && write(both->fd[1], "b\n", 2) == 2);
	int fd = open(scratch_path("out"), O_RDONLY);
	EXPECT(read(fd, bytes, sizeof(bytes)) == 12 && memcmp(bytes, "once\ntwice?\n", 12) == 0);
	fd = open(scratch_path("log"), O_RDONLY);
	EXPECT(read(fd, bytes, sizeof(bytes)) == 4 && memcmp(bytes, "a\nb\n", 4) == 0);
	char name[32];
	snprintf(name, sizeof(name), "pool.tail-%d", both->fd[0]);
	fd = open(scratch_path(name), O_RDONLY);
	EXPECT(read(fd, bytes, sizeof(bytes)) == 7 && memcmp(bytes, "twice?\n", 7) == 0);
}

Test(files, output_written_after_the_epoch_appears_once)
{
	two_lives(writes_output, writes_it_again);
}

/* InnoDB goes to the end of a file for its size, and writes anywhere from then on; it was not told
 * that its pages were newer than it. */
static void writes_before_the_end(void)
{
	both->fd[0] = open(scratch_path("data"), O_RDWR | O_CREAT, 0600);
	EXPECT(write(both->fd[0], "abc", 3) == 3);
	save();
	EXPECT(pwrite(both->fd[0], "x", 1, 0) == 1);
}

static void it_is_told(void)
{
	EXPECT(is_told("/data: was written in place after the epoch"));
}

Test(files, what_is_written_before_the_end_is_told)
{
	caller = hear;
	two_lives(writes_before_the_end, it_is_told);
}

static void nothing_of_the_kind_is_told(void)
{
	EXPECT(!is_told("/out: was written in place"));
}

Test(files, output_that_was_cut_back_is_not_told_as_written_in_place_by_the_next_life)
{
	caller = hear;
	first_lives(writes_output);
	second_lives(nothing_of_the_kind_is_told);
	second_lives(nothing_of_the_kind_is_told);
}

static void reads_what_it_appends_to(void)
{
	char byte;

	both->fd[0] = open(scratch_path("log"), O_RDWR | O_CREAT | O_APPEND, 0600);
	EXPECT(write(both->fd[0], "abc", 3) == 3 && lseek(both->fd[0], 0, SEEK_SET) == 0);
	EXPECT(read(both->fd[0], &byte, 1) == 1);
	save();
	EXPECT(write(both->fd[0], "d", 1) == 1);
}

static void reads_on_from_the_middle(void)
{
	char bytes[4];

	EXPECT(read(both->fd[0], bytes, 4) == 2 && memcmp(bytes, "bc", 2) == 0);
}

/* It was put at the file's end, as if it had read what it had yet to read. */
Test(files, who_reads_a_log_it_appends_to_reads_on_where_it_was)
{
	two_lives(reads_what_it_appends_to, reads_on_from_the_middle);
}

static void log_has_both(void)
{
	char bytes[16];

	EXPECT(write(both->fd[1], "b\n", 2) == 2);
	const int fd = open(scratch_path("log"), O_RDONLY);
	EXPECT(read(fd, bytes, 16) == 8 && memcmp(bytes, "a\nb\nz\nb\n", 8) == 0);
}

Test(files, log_that_another_process_writes_is_not_cut)
{
	first_lives(writes_output);
	const int fd = open(scratch_path("log"), O_WRONLY | O_APPEND);
	const pid_t other = fork();
	if (other == 0)
		for (;;)
			pause();
	cr_assert_eq(write(fd, "z\n", 2), 2);
	close(fd);
	second = log_has_both;
	const int status = in_child(make_and_go_on);
	kill(other, SIGKILL);
	cr_assert_eq(status, 0, "the second life");
}

static void renames_it_at_the_last_moment(void)
{
	both->fd[0] = open(scratch_path("log"), O_WRONLY | O_CREAT | O_APPEND, 0600);
	EXPECT(write(both->fd[0], "a", 1) == 1);
	files_prepare();
	char old[256];
	snprintf(old, sizeof(old), "%s", scratch_path("log"));
	EXPECT(rename(old, scratch_path("log.1")) == 0);
	both->fd[1] = open(old, O_WRONLY | O_CREAT | O_APPEND, 0600);
	both->writer = (struct ledger_writer){.bytes = both->bytes, .capacity = LEDGER_BYTES};
	files_save(&both->writer);
}

static void it_has_its_new_name(void)
{
	char bytes[4];

	EXPECT(write(both->fd[0], "b", 1) == 1 && write(both->fd[1], "c", 1) == 1);
	int fd = open(scratch_path("log.1"), O_RDONLY);
	EXPECT(read(fd, bytes, 4) == 2 && memcmp(bytes, "ab", 2) == 0);
	fd = open(scratch_path("log"), O_RDONLY);
	EXPECT(read(fd, bytes, 4) == 1 && bytes[0] == 'c');
}

/* Between the look while threads run and the pause; under its old name there is another file. */
Test(files, file_renamed_just_before_the_pause_has_its_new_name)
{
	two_lives(renames_it_at_the_last_moment, it_has_its_new_name);
}

static void file_goes(void)
{
	cr_assert_eq(unlink(scratch_path("file")), 0);
}

static void file_is_another(void)
{
	cr_assert_eq(rename(scratch_path("file"), scratch_path("old")), 0);
	cr_assert_neq(creat(scratch_path("file"), 0600), -1);
}

/* Like a journal of SQLite's; the line had the same number twice. */
static void file_is_made_again(void)
{
	struct stat old, now = {0};

	cr_assert_eq(stat(scratch_path("file"), &old), 0);
	cr_assert_eq(unlink(scratch_path("file")), 0);
	for (int i = 0; i < 100 && now.st_ino != old.st_ino; i++) {
		rename(scratch_path("file"), scratch_path("old"));
		cr_assert_neq(open(scratch_path("file"), O_WRONLY | O_CREAT, 0600), -1);
		cr_assert_eq(stat(scratch_path("file"), &now), 0);
	}
	if (now.st_ino != old.st_ino)
		cr_skip("numbers are not given again here");
}

Test(files, file_with_the_number_of_one_that_is_gone_is_refused)
{
	second_is_refused(reads_and_writes, file_is_made_again, "/file: was made after the program");
}

Test(files, missing_file_is_refused_by_name)
{
	second_is_refused(reads_and_writes, file_goes, "/file: descriptor");
}

Test(files, replaced_file_is_refused_by_name)
{
	second_is_refused(reads_and_writes, file_is_another, "/file: is another file");
}

static void has_nameless_files(void)
{
	static char all_one[32768];
	char path[32];

	both->fd[0] = open(scratch_path("."), O_TMPFILE | O_RDWR, 0640);
	EXPECT(pwrite(both->fd[0], "far", 3, 100000) == 3 && lseek(both->fd[0], 7, SEEK_SET) == 7);
	both->fd[1] = open(scratch_path("deleted"), O_WRONLY | O_CREAT | O_EXCL, 0600);
	EXPECT(write(both->fd[1], "near", 4) == 4 && unlink(scratch_path("deleted")) == 0);
	memset(all_one, 'a', sizeof(all_one));
	EXPECT(pwrite(both->fd[0], all_one, sizeof(all_one), sizeof(all_one)) == sizeof(all_one));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", both->fd[0]);
	both->fd[2] = open(path, O_RDONLY); /* another description of it */
	save();
}

static void has_them_again(void)
{
	char bytes[4] = "";
	struct stat st;

	EXPECT(pread(both->fd[0], bytes, 3, 100000) == 3 && memcmp(bytes, "far", 3) == 0);
	EXPECT(lseek(both->fd[0], 0, SEEK_CUR) == 7);
	EXPECT(fstat(both->fd[0], &st) == 0 && (st.st_mode & 0777) == 0640 && st.st_nlink == 0);
	EXPECT(lseek(both->fd[1], 0, SEEK_CUR) == 4 && write(both->fd[1], "er", 2) == 2);
	EXPECT((fcntl(both->fd[1], F_GETFL) & O_ACCMODE) == O_WRONLY);
	EXPECT(fstat(both->fd[1], &st) == 0 && st.st_size == 6);
	EXPECT(pread(both->fd[0], bytes, 1, 40000) == 1 && bytes[0] == 'a');
	EXPECT(pwrite(both->fd[0], "new", 3, 50000) == 3);
	EXPECT(pread(both->fd[2], bytes, 3, 50000) == 3 && memcmp(bytes, "new", 3) == 0);
}

Test(files, files_without_a_name_come_back_with_their_contents)
{
	two_lives(has_nameless_files, has_them_again);
}

static void has_one_that_ends_with_zeros(void)
{
	both->fd[0] = open(scratch_path("."), O_TMPFILE | O_RDWR, 0640);
	EXPECT(write(both->fd[0], "x", 1) == 1 && ftruncate(both->fd[0], 100000) == 0);
	both->fd[1] = open(scratch_path("."), O_TMPFILE | O_RDWR, 0640);
	EXPECT(ftruncate(both->fd[1], 4096) == 0);
	save();
}

static void they_are_as_long(void)
{
	EXPECT(lseek(both->fd[0], 0, SEEK_END) == 100000 && lseek(both->fd[1], 0, SEEK_END) == 4096);
}

Test(files, file_without_a_name_is_as_long_as_it_was)
{
	two_lives(has_one_that_ends_with_zeros, they_are_as_long);
}

/* Each file system counts its inodes from 1. */
static int first_file_of_a_new_file_system(const char *contents)
{
	const char *directory = scratch_path("mounted");
	char path[256];

	mkdir(directory, 0700);
	EXPECT(mount("none", directory, "tmpfs", 0, NULL) == 0);
	snprintf(path, sizeof(path), "%s/file", directory);
	const int fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
	EXPECT(fd >= 0 && write(fd, contents, 3) == 3 && unlink(path) == 0);
	return fd;
}

static void has_two_with_one_number(void)
{
	struct stat one, two;

	both->word = unshare(CLONE_NEWNS) == 0 &&
		     mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
	if (!both->word)
		return;
	both->fd[0] = first_file_of_a_new_file_system("one");
	both->fd[1] = first_file_of_a_new_file_system("two");
	EXPECT(fstat(both->fd[0], &one) == 0 && fstat(both->fd[1], &two) == 0);
	EXPECT(one.st_ino == two.st_ino && one.st_dev != two.st_dev);
	save();
}

static void they_are_two(void)
{
	char bytes[3];

	if (!both->word) /* who may not mount has no such two */
		return;
	EXPECT(pread(both->fd[0], bytes, 3, 0) == 3 && memcmp(bytes, "one", 3) == 0);
	EXPECT(pread(both->fd[1], bytes, 3, 0) == 3 && memcmp(bytes, "two", 3) == 0);
}

Test(files, files_without_a_name_on_two_file_systems_are_two)
{
	two_lives(has_two_with_one_number, they_are_two);
}

/* ---- What is on media when an epoch is ---- */

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

Test(files, file_renamed_and_closed_at_once_is_synced)
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

Test(files, very_many_files_are_synced)
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

Test(files, file_that_looks_like_it_did_a_tick_ago_is_synced_again)
{
	first_lives(writes_twice_in_a_tick);
}

static void has_a_big_one(void)
{
	both->fd[0] = open(scratch_path("."), O_TMPFILE | O_RDWR, 0640);
	EXPECT(ftruncate(both->fd[0], 2 << 20) == 0);
	save();
}

Test(files, large_file_without_a_name_is_vetoed)
{
	refused(has_a_big_one, "without a name");
}

static void watches(void)
{
	both->fd[0] = inotify_init1(0);
	save();
}

Test(files, inotify_is_vetoed_by_descriptor_and_name)
{
	refused(watches, "descriptor 3: an inotify instance");
}

static void watches_pressure(void)
{
	both->fd[0] = open("/proc/pressure/memory", O_RDWR | O_NONBLOCK);
	save();
}

/* It came back without what it was to be woken by. */
Test(files, watch_of_pressure_is_vetoed_by_name)
{
	if (access("/proc/pressure/memory", W_OK) == 0)
		refused(watches_pressure, "a watch of pressure (PSI): /proc/pressure/memory");
}

static void looks_at_itself(void)
{
	both->fd[0] = open("/proc/self/stat", O_RDONLY);
	both->word = (uint64_t)getpid();
	save();
}

static void it_is_another(void)
{
	char text[64] = "";

	EXPECT(read(both->fd[0], text, sizeof(text) - 1) > 0 && atoi(text) == (int)getpid());
	EXPECT(both->word != (uint64_t)getpid());
}

/* Where the number cannot be chosen it is another one's, or nobody's. */
Test(files, what_proc_tells_of_a_process_itself_is_of_the_next_one)
{
	two_lives(looks_at_itself, it_is_another);
}

/* It looks like a file, with a path that is in no directory. */
static void queues(void)
{
	char name[32];

	snprintf(name, sizeof(name), "/heapsake-test-%d", (int)getpid());
	both->fd[0] = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, NULL);
	mq_unlink(name);
	save();
}

Test(files, message_queue_is_vetoed_by_name)
{
	const mqd_t tried = mq_open("/heapsake-test", O_RDONLY);

	if (tried < 0 && errno == ENOSYS)
		return;
	refused(queues, "descriptor 3: a POSIX message queue");
}

static void locks(void)
{
	struct flock range = {.l_type = F_WRLCK, .l_start = 5, .l_len = 10};

	both->fd[0] = open(scratch_path("locked"), O_RDWR | O_CREAT, 0600);
	both->fd[1] = open(scratch_path("locked"), O_RDWR);
	both->fd[2] = open(scratch_path("whole"), O_RDWR | O_CREAT, 0600);
	process_may_hold_locks = true; /* the wrapped calls would say so */
	EXPECT(fcntl(both->fd[0], F_SETLK, &range) == 0);
	range = (struct flock){.l_type = F_RDLCK, .l_start = 100};
	EXPECT(fcntl(both->fd[1], F_OFD_SETLK, &range) == 0);
	EXPECT(flock(both->fd[2], LOCK_EX) == 0);
	save();
}

static bool others_may_lock(int fd)
{
	struct flock whole = {.l_type = F_WRLCK};
	int status;
	const pid_t other = fork();

	if (other == 0)
		_exit(fcntl(fd, F_SETLK, &whole) == 0);
	EXPECT(waitpid(other, &status, 0) == other);
	return status != 0;
}

static void locks_what_is_synced(void)
{
	struct flock whole = {.l_type = F_WRLCK};

	both->fd[0] = open(scratch_path("locked"), O_RDWR | O_CREAT, 0600);
	both->fd[1] = open(scratch_path("."), O_TMPFILE | O_RDWR, 0600);
	process_may_hold_locks = true; /* the wrapped calls would say so */
	for (int i = 0; i < 2; i++)
		EXPECT(write(both->fd[i], "x", 1) == 1 && fcntl(both->fd[i], F_SETLK, &whole) == 0);
	save();
	files_sync();
	EXPECT(!others_may_lock(both->fd[0]) && !others_may_lock(both->fd[1]));
}

/* Who closes any description of a file has no locks on it any more: each epoch unlocked what the
 * program had written. */
Test(files, locks_outlive_an_epoch)
{
	first_lives(locks_what_is_synced);
}

static void locks_hold(void)
{
	const int other = open(scratch_path("locked"), O_RDWR), whole = open(scratch_path("whole"), O_RDWR);
	struct flock range = {.l_type = F_WRLCK, .l_len = 0};

	EXPECT(fcntl(other, F_OFD_GETLK, &range) == 0 && range.l_type == F_WRLCK);
	EXPECT(range.l_start == 5 && range.l_len == 10 && range.l_pid == getpid());
	range = (struct flock){.l_type = F_WRLCK, .l_start = 50};
	EXPECT(fcntl(other, F_OFD_GETLK, &range) == 0 && range.l_type == F_RDLCK);
	EXPECT(range.l_start == 100 && range.l_len == 0 && range.l_pid == -1);
	EXPECT(flock(whole, LOCK_SH | LOCK_NB) == -1 && errno == EWOULDBLOCK);
}

Test(files, locks_are_held_again)
{
	two_lives(locks, locks_hold);
}

/* ---- pipes ---- */

static void has_pipes(void)
{
	int ends[2];

	EXPECT(pipe2(ends, O_NONBLOCK) == 0 && write(ends[1], "in the pipe", 11) == 11);
	both->fd[0] = ends[0];
	both->fd[1] = ends[1];
	EXPECT(pipe(ends) == 0 && write(ends[1], "left", 4) == 4);
	both->fd[2] = ends[0];
	close(ends[1]);
	EXPECT(pipe(ends) == 0);
	both->fd[3] = ends[1];
	close(ends[0]);
	EXPECT(pipe(ends) == 0 && fcntl(ends[1], F_SETPIPE_SZ, 1 << 20) == 1 << 20);
	for (int i = 0; i < 1000; i++)
		EXPECT(write(ends[1], both->bytes, 500) == 500);
	both->fd[4] = ends[0];
	both->fd[5] = ends[1];
	EXPECT(pipe2(ends, O_DIRECT) == 0 && write(ends[1], "one", 3) == 3 && write(ends[1], "2", 1) == 1);
	both->fd[6] = ends[0];
	both->fd[7] = ends[1];
	EXPECT(fcntl(ends[0], F_SETOWN, getppid()) == 0 && fcntl(ends[0], F_SETSIG, SIGURG) == 0);
	EXPECT(fcntl(ends[0], F_SETFL, O_ASYNC) == 0);
	save();
	char bytes[11];
	EXPECT(read(both->fd[0], bytes, 11) == 11 && memcmp(bytes, "in the pipe", 11) == 0);
}

static void pipes_go_on(void)
{
	char bytes[32];

	EXPECT(read(both->fd[0], bytes, sizeof(bytes)) == 11 && memcmp(bytes, "in the pipe", 11) == 0);
	EXPECT(read(both->fd[0], bytes, sizeof(bytes)) == -1 && errno == EAGAIN);
	EXPECT(write(both->fd[1], "x", 1) == 1 && read(both->fd[0], bytes, 9) == 1);
	EXPECT(read(both->fd[2], bytes, sizeof(bytes)) == 4 && memcmp(bytes, "left", 4) == 0);
	EXPECT(read(both->fd[2], bytes, sizeof(bytes)) == 0);
	signal(SIGPIPE, SIG_IGN);
	EXPECT(write(both->fd[3], "x", 1) == -1 && errno == EPIPE);
	static char all[500001];
	size_t len = 0;
	while (len < 500000) {
		const ssize_t got = read(both->fd[4], all + len, sizeof(all) - len);
		EXPECT(got > 0);
		len += (size_t)got;
	}
	EXPECT(len == 500000 && fcntl(both->fd[5], F_GETPIPE_SZ) == 1 << 20);
	close(both->fd[5]);
	EXPECT(read(both->fd[4], bytes, 1) == 0);
	EXPECT(read(both->fd[6], bytes, sizeof(bytes)) == 3 && memcmp(bytes, "one", 3) == 0);
	EXPECT(read(both->fd[6], bytes, sizeof(bytes)) == 1 && bytes[0] == '2');
	EXPECT(fcntl(both->fd[7], F_GETFL) & O_DIRECT);
	EXPECT((fcntl(both->fd[6], F_GETFL) & O_ASYNC) && fcntl(both->fd[6], F_GETOWN) == getppid() &&
	       fcntl(both->fd[6], F_GETSIG) == SIGURG);
}

Test(files, what_lies_in_a_pipe_is_read_in_the_next_life)
{
	two_lives(has_pipes, pipes_go_on);
}

static void has_a_fifo_without_a_name(void)
{
	EXPECT(mkfifo(scratch_path("fifo"), 0600) == 0);
	both->fd[0] = open(scratch_path("fifo"), O_RDWR);
	both->fd[1] = open(scratch_path("fifo"), O_WRONLY);
	files_prepare();
	EXPECT(unlink(scratch_path("fifo")) == 0 && write(both->fd[1], "in it", 5) == 5);
	save();
}

static void it_goes_on(void)
{
	char bytes[8];

	EXPECT(read(both->fd[0], bytes, 8) == 5 && memcmp(bytes, "in it", 5) == 0);
	EXPECT(write(both->fd[0], "a", 1) == 1 && write(both->fd[1], "b", 1) == 1);
	EXPECT(read(both->fd[0], bytes, 8) == 2);
}

/* mkfifo, exec 3<>, rm: no life could follow, for want of the name. */
Test(files, fifo_without_a_name_is_a_pipe)
{
	two_lives(has_a_fifo_without_a_name, it_goes_on);
}

/* ---- numbers ---- */

static void limit_to_64(void)
{
	const struct rlimit limit = {64, 64};

	EXPECT(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

static void has_a_number_beyond(void)
{
	const struct rlimit limit = {(1 << 20) + 100, (1 << 20) + 100};

	both->word = setrlimit(RLIMIT_NOFILE, &limit) == 0 && dup2(1, (1 << 20) + 1) >= 0;
	save();
}

/* Where fs.nr_open lets programs have such. */
Test(files, number_beyond_all_that_are_kept_is_vetoed)
{
	first_lives(has_a_number_beyond);
	if (both->word)
		cr_assert_not_null(strstr(both->writer.veto, "higher number"), "%s", both->writer.veto);
}

static void has_the_last_number(void)
{
	both->fd[0] = dup2(open("/dev/zero", O_RDONLY), 63);
	save();
}

static void has_it_under_the_limit(void)
{
	char c = 1;

	EXPECT(both->fd[0] == 63 && read(63, &c, 1) == 1 && c == 0);
	EXPECT(fcntl(2, F_GETFD) >= 0 && fcntl(62, F_GETFD) == -1);
}

Test(files, a_low_limit_with_the_last_number_taken_is_enough)
{
	caller = limit_to_64;
	two_lives(has_the_last_number, has_it_under_the_limit);
}

static void changes_all(void)
{
	const char *path = scratch_path("file");
	const int one = open(path, O_RDWR | O_CREAT, 0600), two = open(path, O_RDONLY);
	int ends[2];

	EXPECT(pipe(ends) == 0 && write(one, "0123456789", 10) == 10);
	files_prepare();
	EXPECT(dup2(one, two) == two && lseek(one, 3, SEEK_SET) == 3); /* another description */
	EXPECT(close(ends[0]) == 0 && open("/dev/null", O_WRONLY) == ends[0]); /* another file */
	both->fd[0] = one;
	both->fd[1] = two;
	both->fd[2] = ends[0];
	both->fd[3] = ends[1];
	both->fd[4] = fcntl(open("/dev/zero", O_RDONLY), F_DUPFD, 30); /* new ones */
	both->writer = (struct ledger_writer){.bytes = both->bytes, .capacity = LEDGER_BYTES};
	files_save(&both->writer);
}

static void changes_are_there(void)
{
	char c = 1;

	EXPECT(read(both->fd[0], &c, 1) == 1 && c == '3' && read(both->fd[1], &c, 1) == 1 && c == '4');
	EXPECT(write(both->fd[2], "x", 1) == 1);
	EXPECT(read(both->fd[4], &c, 1) == 1 && c == 0);
	signal(SIGPIPE, SIG_IGN);
	EXPECT(write(both->fd[3], "x", 1) == -1 && errno == EPIPE);
}

Test(files, what_changes_between_looking_and_saving_is_saved)
{
	two_lives(changes_all, changes_are_there);
}

static int held OURS = -1;

static void has_a_high_one(void)
{
	int fd = open("/dev/null", O_RDWR);

	both->fd[0] = fcntl(fd, F_DUPFD, 600);
	close(fd);
	held = open("/dev/zero", O_RDONLY);
	ours_fd_add(&held);
	save();
	both->fd[1] = held;
}

static void takes_the_number(void)
{
	char c = 1;

	EXPECT(write(both->fd[0], "x", 1) == 1);          /* the program's /dev/null */
	EXPECT(held != 600 && read(held, &c, 1) == 1 && c == 0); /* ours, moved */
	EXPECT(fcntl(both->fd[1], F_GETFD) == -1);        /* was not described */
}

static void makes_with_ours_in_the_way(void)
{
	held = fcntl(open("/dev/zero", O_RDONLY), F_DUPFD_CLOEXEC, 600);
	EXPECT(held == 600);
	ours_fd_add(&held);
	make_and_go_on();
}

Test(files, ours_are_not_described_and_make_room)
{
	first_lives(has_a_high_one);
	second = takes_the_number;
	cr_assert_eq(in_child(makes_with_ours_in_the_way), 0, "the second life");
}
