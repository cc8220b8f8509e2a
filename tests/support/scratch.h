/* A directory of a test's own, and what happens to files in it. Every step is checked: a test
 * whose preparation failed has proved nothing. */
#pragma once

#include <criterion/criterion.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fcntl.h>

static char scratch_directory[64];

static inline void scratch_open(void)
{
	strcpy(scratch_directory, "/tmp/heapsake-unit-XXXXXX");
	cr_assert_not_null(mkdtemp(scratch_directory));
}

static int scratch_remove(const char *path, const struct stat *st, int type, struct FTW *walk)
{
	(void)st, (void)type, (void)walk;
	return remove(path);
}

static inline void scratch_close(void)
{
	nftw(scratch_directory, scratch_remove, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

/* The path of a file in the scratch directory; eight may be in use at once. */
static inline const char *scratch_path(const char *name)
{
	static char paths[8][128];
	static unsigned next;
	char *path = paths[next++ % 8];

	snprintf(path, sizeof(paths[0]), "%s/%s", scratch_directory, name);
	return path;
}

/* Everything about a file that must not change when it is refused: bytes, size, times, mode. */
struct scratch_print {
	uint64_t hash;
	off_t size;
	blkcnt_t blocks;
	mode_t mode;
	struct timespec mtime;
	struct timespec ctime;
};

static inline struct scratch_print scratch_print(const char *path)
{
	struct scratch_print print = {.hash = UINT64_C(14695981039346656037)};
	struct stat st;
	static unsigned char buffer[65536];
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	cr_assert_geq(fd, 0, "open %s", path);
	cr_assert_eq(fstat(fd, &st), 0);
	for (ssize_t n; (n = read(fd, buffer, sizeof(buffer))) > 0;)
		for (ssize_t i = 0; i < n; i++)
			print.hash = (print.hash ^ buffer[i]) * UINT64_C(1099511628211);
	close(fd);
	print.size = st.st_size;
	print.blocks = st.st_blocks;
	print.mode = st.st_mode;
	print.mtime = st.st_mtim;
	print.ctime = st.st_ctim;
	return print;
}

static inline bool scratch_is_same(const struct scratch_print *a, const struct scratch_print *b)
{
	return a->hash == b->hash && a->size == b->size && a->blocks == b->blocks &&
	       a->mode == b->mode && a->mtime.tv_sec == b->mtime.tv_sec &&
	       a->mtime.tv_nsec == b->mtime.tv_nsec && a->ctime.tv_sec == b->ctime.tv_sec &&
	       a->ctime.tv_nsec == b->ctime.tv_nsec;
}
