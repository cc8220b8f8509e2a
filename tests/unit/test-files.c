/* Files that have a name, locks on them, and what only looks like a file. */
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

static uint64_t address_space(void)
{
	unsigned long long pages = 0;
	FILE *statm = fopen("/proc/self/statm", "r");

	EXPECT(statm && fscanf(statm, "%llu", &pages) == 1);
	fclose(statm);
	return pages * 4096;
}

/* Each look took what there was, and gave none of it back. */
static void has_little_address_space(void)
{
	struct rlimit limit;

	EXPECT(getrlimit(RLIMIT_AS, &limit) == 0);
	limit.rlim_cur = address_space() + (80 << 20);
	EXPECT(setrlimit(RLIMIT_AS, &limit) == 0);
	save();
	const uint64_t before = address_space();
	save();
	EXPECT(address_space() == before);
}

Test(files, too_little_address_space_is_told_and_not_made_less)
{
	refused(has_little_address_space, "ulimit -v");
}
