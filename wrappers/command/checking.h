/* The parts of `heapsake check`. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "finding.h"
#include "say.h"

struct pool;

struct check {
	const char *path;
	int fd;
	uint64_t file_bytes;
	bool is_deep;
	uint64_t blocks, bytes; /* live, in the heap of the newest epoch */
	struct findings findings;
};

/* check_head() - superblocks, control page, reserved bytes, of check->fd */
void check_head(struct check *check);

/* check_image() - the log, the region table, the heap and its roots; when deep, every page.
 * 0; STATUS_CORRUPT with *ret_why: it has no epoch that can be read; another status: not checked */
int check_image(struct check *check, struct pool *pool, struct refusal *ret_why);
