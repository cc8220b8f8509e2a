/* The ways to track, and what they share. Known to track*.c alone. */
#pragma once

#include "track.h"

/* One way. watch() and unwatch() are told of ranges as they come and go, renew() as track_renew()
 * is; NULL: nothing has to be done. settle() makes what is there count as unwritten, and may be
 * missing. collect() visits all ranges, those that are new wholly, and
 * leaves it to the caller to make them old. */
struct track_way {
	const char *name;
	int (*open)(struct track *track); /* 0: it may work; it will be tried */
	int (*watch)(struct track *track, char *start, size_t len);
	int (*renew)(struct track *track, char *start, size_t len);
	void (*unwatch)(struct track *track, char *start, size_t len);
	int (*settle)(struct track *track, char *start, size_t len);
	int (*collect)(struct track *track, track_visit *visit, void *context);
};

extern const struct track_way track_wp;
extern const struct track_way track_soft_dirty;
extern const struct track_way track_compare;

/* track_fd_set() - take over a descriptor just opened, under a number programs do not use;
 * forwards fd < 0 */
int track_fd_set(struct track_fd *fd, int opened);
/* track_fd_is_ours() - the program has not closed it */
bool track_fd_is_ours(const struct track_fd *fd);
void track_fd_close(struct track_fd *fd);

/* track_pagemap_ready() - pagemap, opened again if the program closed it; 0 or -errno */
int track_pagemap_ready(struct track *track);

/* track_scan() - visit what PAGEMAP_SCAN says; *at, where to begin, moves behind all that was
 * visited, also if an error then ends it */
int track_scan(struct track *track, const struct pagemap_query *query, uint64_t *at, uint64_t end,
	       track_visit *visit, void *context);

/* track_stretch() - from `at` up to the address returned, at most `end`, all pages are there, or it
 * is not known */
uint64_t track_stretch(const struct track *track, uint64_t at, uint64_t end, bool *ret_is_dense);

/* track_read() - visit the pages of all ranges that are there and, if asked and the range is not
 * new, soft-dirty, and tell what is gone; without PAGEMAP_SCAN. Threads stand. */
int track_read(struct track *track, bool is_soft_dirty, track_visit *visit, void *context);

/* track_there() - what to ask for to be told of all pages there are */
struct pagemap_query track_there(const struct track *track);
