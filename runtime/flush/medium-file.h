/* The medium of a pool in a file. */
#pragma once

#include <stdbool.h>

#include "config.h"
#include "medium.h"

struct pool;

struct medium_file {
	struct medium medium;
	struct pool *pool;    /* owned by us: its lock is re-asserted before every append */
	int log_fd;           /* a description of its own: O_DIRECT where the file system takes it */
	enum durability durability; /* cache: nothing is synced */
	const char *view;     /* the file, read-only; NULL: none */
	uint64_t view_bytes;
	bool has_view;        /* to be had here */
	bool is_direct;       /* appends go past the page cache */
	bool has_synced_write; /* RWF_DSYNC is known here; else fdatasync after each append */
};

/* For a back end that does some of it in another way: every medium passed must be the first member
 * of a struct medium_file. */
extern const struct medium_table medium_file_table;

/* medium_file_open() - a medium over an owned pool, which must outlive it; 0 or -errno */
int medium_file_open(struct medium_file *ret_file, struct pool *pool,
		     enum durability durability);
void medium_file_close(struct medium_file *file);
