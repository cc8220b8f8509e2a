/*
 * Ending: how the last run of a pool ended, as far as its control page tells. Who goes on from an
 * epoch says how long before the end of that run the epoch's instant was.
 */
#pragma once

#include <stdint.h>

#include "line.h"

struct control;

struct ending {
	uint64_t epoch;         /* the newest that run knew of; 0: nothing is known */
	uint64_t cut_unix_ns;   /* when memory was last as in that epoch; 0: before that run */
	uint64_t alive_unix_ns; /* the run's last sign of life; 0: none */
	uint64_t ended_unix_ns; /* 0: nobody saw it end */
};

/* ending_read() - before the next owner enters the page */
void ending_read(struct ending *ret_ending, const struct control *control);

/* ending_tell() - ", 84 ms before the end" behind what says that this epoch is gone on from, or
 * nothing, if it cannot be known. No libc */
void ending_tell(const struct ending *ending, uint64_t epoch, struct line *line);
