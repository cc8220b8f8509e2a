/* Pools made by hand, to be wrong in one place at a time. */
#pragma once

#include "scratch.h"

#include "pool.h"
#include "superblock.h"

#define CRAFTED_BYTES (UINT64_C(16) << 20)

static struct refusal why;

static inline int crafted_try(const char *path, uint64_t size_bytes)
{
	struct pool_plan plan = {.size_bytes = size_bytes};

	return pool_create(path, &plan, &why);
}

static inline void crafted_own(struct pool *ret_pool, const char *path)
{
	cr_assert_eq(pool_open(ret_pool, path, POOL_OWN, &why), 0, "%s", why.line);
}

static inline const char *crafted_pool(const char *name)
{
	const char *path = scratch_path(name);

	cr_assert_eq(crafted_try(path, CRAFTED_BYTES), 0, "%s", why.line);
	return path;
}

static inline int crafted_open(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	cr_assert_geq(fd, 0);
	return fd;
}

static inline void crafted_read(const char *path, int slot, struct layout_superblock *ret_sb)
{
	int fd = crafted_open(path);

	cr_assert_eq(pread(fd, ret_sb, sizeof(*ret_sb), slot * 4096), (ssize_t)sizeof(*ret_sb));
	close(fd);
}

/* Writes the block as it is, checksum included. */
static inline void crafted_write_raw(const char *path, int slot, const struct layout_superblock *sb)
{
	int fd = crafted_open(path);

	cr_assert_eq(pwrite(fd, sb, sizeof(*sb), slot * 4096), (ssize_t)sizeof(*sb));
	close(fd);
}

static inline void crafted_write(const char *path, int slot, struct layout_superblock *sb)
{
	sb->checksum = superblock_checksum(sb);
	crafted_write_raw(path, slot, sb);
}

/* Applies a change to both slots, each sealed again. */
static inline void crafted_change(const char *path, void (*change)(struct layout_superblock *))
{
	for (int slot = 0; slot < 2; slot++) {
		struct layout_superblock sb;
		crafted_read(path, slot, &sb);
		change(&sb);
		crafted_write(path, slot, &sb);
	}
}
