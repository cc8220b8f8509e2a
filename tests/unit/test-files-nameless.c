/* Files that live as long as they are open. */
#include <sched.h>
#include <sys/mount.h>

#include "ours.h"
#include "process/process.h"
#include "two-lives.h"

TestSuite(nameless, .init = scratch_open, .fini = scratch_close);

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

Test(nameless, files_without_a_name_come_back_with_their_contents)
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

Test(nameless, file_without_a_name_is_as_long_as_it_was)
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

Test(nameless, files_without_a_name_on_two_file_systems_are_two)
{
	two_lives(has_two_with_one_number, they_are_two);
}

static void has_a_big_one(void)
{
	both->fd[0] = open(scratch_path("."), O_TMPFILE | O_RDWR, 0640);
	EXPECT(ftruncate(both->fd[0], 2 << 20) == 0);
	save();
}

Test(nameless, large_file_without_a_name_is_vetoed)
{
	refused(has_a_big_one, "without a name");
}
