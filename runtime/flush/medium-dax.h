/* The medium of a pool in memory that stays: DAX. A file like any other where it is not. */
#pragma once

#include "flush-x86_64.h"
#include "medium-file.h"

struct medium_dax {
	struct medium_file file; /* what cannot be done by stores; and all of it where is_dax is not */
	char *map;               /* the whole file, MAP_SYNC; NULL: the next call maps it */
	uint64_t map_bytes;
	enum flush_way way;
	bool is_dax;
	bool owes_sync; /* something since the last good sync went to the file by a system call */
};

/* medium_dax_open() - a medium over an owned pool, which must outlive it: by stores if the pool's
 * file can be mapped with MAP_SYNC, else as medium_file_open(); 0 or -errno */
int medium_dax_open(struct medium_dax *ret_dax, struct pool *pool, enum durability durability);
void medium_dax_close(struct medium_dax *dax);
