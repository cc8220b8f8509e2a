/*
 * Files that are mapped, and change while the program lives: it comes back with them as they are.
 * What was opened to be read only is so in the next life: or else nobody could run it meanwhile.
 *
 * usage: mapped-files [FILE]
 * With FILE: that is mapped as shared memory, and not open otherwise; see replaced-file.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "killed.h"

#define LIVES 3
#define PAGE 4096
#define LONG_US 1500000 /* files are looked at once a second */

static char *map(int fd, size_t pages, int flags)
{
	char *memory = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (memory == MAP_FAILED)
		_exit(3);
	return memory;
}

static char *map_to_read(const char *path, int how)
{
	const int fd = open(path, how);
	char *const memory = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);

	MUST(memory != MAP_FAILED && close(fd) == 0);
	return memory;
}

static int can_be_written(const char *memory)
{
	return mprotect((void *)memory, PAGE, PROT_READ | PROT_WRITE) == 0 &&
	       mprotect((void *)memory, PAGE, PROT_READ) == 0;
}

static int stay_with_shared(const char *path)
{
	const int fd = open(path, O_RDWR);
	char *memory = map(fd, 1, MAP_SHARED);

	close(fd);
	memory[0] = 'a';
	die();
	return memory[0] != 'a';
}

int main(int argc, char **argv)
{
	char grown_name[] = "/tmp/mapped-files-XXXXXX", cut_name[] = "/tmp/mapped-files-XXXXXX";

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 2)
		return stay_with_shared(argv[1]);
	const int grown_fd = mkstemp(grown_name), cut_fd = mkstemp(cut_name);
	MUST(ftruncate(grown_fd, 2 * PAGE) == 0 && ftruncate(cut_fd, 4 * PAGE) == 0);
	char *const grown = map(grown_fd, 2, MAP_PRIVATE), *const cut = map(cut_fd, 4, MAP_PRIVATE);
	grown[0] = cut[0] = cut[3 * PAGE] = 1;
	usleep(100000); /* it is kept so */
	MUST(close(cut_fd) == 0 && truncate(cut_name, PAGE) == 0);
	const char *const read_only = map_to_read(grown_name, O_RDONLY);
	const char *const not_written = map_to_read(grown_name, O_RDWR);
	for (int life = 1; life < LIVES; life++) {
		MUST(pwrite(grown_fd, "x", 1, (life + 2) * PAGE) == 1);
		usleep(LONG_US);
		die();
		MUST(grown[0] == 1 && grown[PAGE] == 0 && cut[0] == 1);
		MUST(!can_be_written(read_only) && can_be_written(not_written));
	}
	unlink(grown_name);
	unlink(cut_name);
	return failures != 0;
}
