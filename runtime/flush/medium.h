/*
 * The medium: the one table through which every durable byte goes.
 *
 * A back end fills the table: a file (medium-file.c), DAX (medium-dax.c), a simulated disk in
 * tests, which crashes between any two calls. Nobody above this room knows which one he has, and
 * nobody above it writes to a pool by any other way, but for the control page, of which nothing is
 * kept.
 *
 *   call      durable                     used for
 *   write     after the next sync         home and its checksums; superblocks
 *   punch     after the next sync         pages of home that are zero
 *   sync      on return                   all writes and punches before it
 *   append    on return                   the log: whole 4 KiB blocks, 4 KiB-aligned
 *   extend    on return                   the file's size
 *
 * Until it is durable, a write may be on media in any part, and so may an append that failed: at
 * the grain of a sector (512 bytes), in any order.
 *
 * 0 or -errno. What failed is never repeated and then believed: a kernel that could not write a
 * page reports it once and forgets it, and the next sync of the same bytes says 0. So a failed
 * sync means that everything written since the last good one may never arrive; who needs it writes
 * it again, all of it, before the next sync. `failures` counts failed calls of any kind, so that
 * who writes over many calls can tell that somebody else's sync has eaten his error.
 *
 * One thread. Nothing here allocates, touches errno or thread-local data.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct medium;

struct medium_table {
	int (*read)(struct medium *medium, void *buffer, size_t len, uint64_t offset);
	int (*write)(struct medium *medium, const void *buffer, size_t len, uint64_t offset);
	int (*punch)(struct medium *medium, uint64_t offset, uint64_t len);
	int (*sync)(struct medium *medium);
	int (*append)(struct medium *medium, const void *buffer, size_t len, uint64_t offset);
	int (*extend)(struct medium *medium, uint64_t file_bytes);
	int (*size)(struct medium *medium, uint64_t *ret_bytes);
	int (*find_data)(struct medium *medium, uint64_t *from, uint64_t *end);
	const void *(*view)(struct medium *medium, size_t len, uint64_t offset);
	int (*fetch)(struct medium *medium, void *buffer, size_t len, uint64_t offset);
};

struct medium {
	const struct medium_table *table;
	const char *name;  /* of the pool, for messages */
	uint64_t failures; /* failed writes, punches, syncs, appends and extends */
};

/* medium_read() - what is there now, durable or not; beyond the file's end is -EIO */
int medium_read(struct medium *medium, void *buffer, size_t len, uint64_t offset);
int medium_write(struct medium *medium, const void *buffer, size_t len, uint64_t offset);
/* medium_punch() - [offset, offset+len) reads as zeros; no holes here: zeros are written */
int medium_punch(struct medium *medium, uint64_t offset, uint64_t len);
int medium_sync(struct medium *medium);
int medium_append(struct medium *medium, const void *buffer, size_t len, uint64_t offset);
/* medium_extend() - make the file at least this long */
int medium_extend(struct medium *medium, uint64_t file_bytes);
int medium_size(struct medium *medium, uint64_t *ret_bytes);
/* medium_view() - what medium_read() would give, where it lies, until the file grows; NULL: not to
 * be had here, read it. An error of the disk is a SIGBUS, as for whoever maps home. */
const void *medium_view(struct medium *medium, size_t len, uint64_t offset);
/* medium_fetch() - the same as medium_read(), past a cache where that can be done: what is on media
 * now, and the cache stays as it is. All three are multiples of 4 KiB */
int medium_fetch(struct medium *medium, void *buffer, size_t len, uint64_t offset);
/* medium_find_data() - the first piece of [*from, *end) that may hold other bytes than zeros takes
 * their place; an empty one if there is none */
int medium_find_data(struct medium *medium, uint64_t *from, uint64_t *end);
