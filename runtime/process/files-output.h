/*
 * Output: a file that is written at its end is as long again as it was at the epoch.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* output_look() - in the constructor of a resume: is another process writing it, too? Waits a
 * moment for one that is dying. output_is_shared() - that was so */
void output_look(const char *path, uint64_t dev, uint64_t ino);
bool output_is_shared(uint64_t dev, uint64_t ino);

/* output_cut_back() - to `old_size` bytes, and its old time; what is cut off is saved beside the
 * pool, under a name made of `number`, and people are told. Without having saved it nothing is cut.
 * Whether it was cut */
bool output_cut_back(const char *path, int fd, unsigned number, uint64_t old_size,
		     uint64_t old_mtime_ns);
