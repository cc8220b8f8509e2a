/*
 * A disk in memory that loses power on demand: a back end of the medium table.
 *
 * Its file is a row of sectors. Each has one content that surely is on media, and any number of
 * *versions* written since, of which a power cut leaves one, or none: any subset of all versions
 * in the order of writing is a legal image. A sync makes the last version of each sector certain.
 * When a sync fails the versions waiting for it are *lost*: still read back, as from a page cache,
 * but no later sync makes them certain; only writing the sector again helps.
 *
 * Just before an append, a sync or an extension completes, and again after it has, the disk calls
 * `on_point`: there the power may go.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "flush/medium.h"

#define SECTOR_BYTES 512u
#define DISK_BYTES (UINT64_C(64) << 20)

struct disk_version {
	uint32_t sector;
	bool is_lost;
	uint8_t bytes[SECTOR_BYTES];
};

/* SYNC and APPEND: the next one. */
enum disk_fault { DISK_FAULT_NONE, DISK_FAULT_EIO, DISK_FAULT_NO_SPACE, DISK_FAULT_SYNC,
		  DISK_FAULT_APPEND };

struct disk {
	struct medium medium;
	uint8_t *view;  /* what a read returns */
	uint8_t *media; /* what is certain */
	uint64_t view_bytes;
	uint64_t media_bytes;
	struct disk_version *versions; /* in the order of writing */
	uint32_t version_count;
	uint32_t version_capacity;
	uint32_t *marks; /* per sector: a stamp */
	uint32_t stamp;
	uint8_t *touched; /* per 4 KiB block: ever written */
	uint32_t touched_end;
	uint64_t calls; /* that may fail, so far */
	uint64_t fault_from, fault_until; /* calls in between fail */
	enum disk_fault fault;
	uint64_t random;
	bool is_read_only; /* writing is what a recovery must not do */
	bool was_written;
	void (*on_point)(struct disk *disk);
	void *owner; /* whose point it is */
};

void disk_init(struct disk *disk);
/* disk_empty() - an empty file of that length, everything certain */
void disk_empty(struct disk *disk, uint64_t file_bytes);
/* disk_copy() - `to` becomes what a restart finds on `from`'s media */
void disk_copy(struct disk *to, const struct disk *from);
/* disk_put() - certain bytes, for making pools and for damage */
void disk_put(struct disk *disk, const void *bytes, uint64_t len, uint64_t offset);

uint64_t random_next(uint64_t *state);
static inline uint32_t random_below(uint64_t *state, uint32_t bound)
{
	return (uint32_t)((random_next(state) >> 32) * bound >> 32);
}
