/*
 * Exclude: bytes of kept memory that epochs store as zeros.
 *
 * The program names them (hsk_exclude()); the committer blots them out of every page it has copied
 * (exclude_apply()) before the page is compared with home. The list is the process's own: a new
 * run begins without any.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXCLUDE_MAX 1024

/* exclude_set() - from the next epoch on [start, start + len) is stored as zeros; the same start
 * again gives it another length, len 0 ends it. Pages that are affected count as written: one
 * byte of each is stored to as it is.
 * 0, -ENOENT (len 0: no such), -EEXIST (overlaps another), -ENOSPC (EXCLUDE_MAX are there) */
int exclude_set(void *start, size_t len);

/* exclude_is_empty() - then there is nothing to apply; the committer asks for each page */
bool exclude_is_empty(void);

/* exclude_apply() - zeros into what of copy, the len bytes that were read at start, is excluded.
 * One thread: the committer's, which never waits here for a thread it has stopped. */
void exclude_apply(const char *start, char *copy, size_t len);
