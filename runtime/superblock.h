/*
 * Superblocks: reading, verifying and writing the two blocks a pool begins with (layout.h, 1).
 * Used by the pool's own files and by tests; everybody else asks pool.h.
 */
#pragma once

#include <stdint.h>

#include "layout.h"
#include "say.h"

uint64_t superblock_checksum(const struct layout_superblock *sb);

/* superblock_verify() - is this a superblock we may act on?
 * Looks at everything but the checksum, believes nothing, and compares with the file's size.
 * 0, or STATUS_CORRUPT or STATUS_INCOMPATIBLE with the one line that says where and why. */
int superblock_verify(const struct layout_superblock *sb, int slot, uint64_t file_bytes,
		      const char *path, struct refusal *ret_why);

/* superblock_load() - the newest superblock of the file, verified, and the slot it stands in */
int superblock_load(int fd, uint64_t file_bytes, const char *path,
		    struct layout_superblock *ret_sb, int *ret_slot, struct refusal *ret_why);

/* superblock_choose() - the same of two blocks already read */
int superblock_choose(const struct layout_superblock slots[2], uint64_t file_bytes,
		      const char *path, struct layout_superblock *ret_sb, int *ret_slot,
		      struct refusal *ret_why);

/* superblock_store() - seal *sb with its seq and write it to its slot; the caller syncs */
int superblock_store(int fd, struct layout_superblock *sb);
