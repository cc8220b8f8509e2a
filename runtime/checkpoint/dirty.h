/*
 * Dirty: the pages of the epoch to come. Room-private; the committer's, but for the notes, which
 * come from any thread (committer.h says what they mean).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "checkpoint.h"
#include "committer.h"

struct track;

struct dirty_plan {
	struct checkpoint *checkpoint;
	struct track *track;
	const struct region *regions; /* the first is the heap */
	size_t region_count;
	uint64_t staging_bytes;
	const struct committer_memory *memory; /* NULL: nothing outside of regions */
	void (*before_draft)(void); /* a page has been told, and goes to the engine now */
};

int dirty_open(const struct dirty_plan *plan); /* 0 or -ENOMEM */
void dirty_forget(void);                       /* in a forked child */
int dirty_add_region(struct region *region);   /* committer_add_region() */

/* dirty_precopy() - while the program runs: give the engine what is written, copy what will be
 * written again, round after round while it shrinks */
void dirty_precopy(void);

/* dirty_collect() - all threads stand: stage what is left. may_point: what there is no room for is
 * pointed at, and they must stand until the commit. 0; DIRTY_E_TOO_MUCH; -errno: the next one tells
 * the rest again */
#define DIRTY_E_TOO_MUCH 1
#define DIRTY_E_VETOED 2 /* the committer's own, beside it */
int dirty_collect(bool may_point);

/* dirty_pages() - what is staged, for the commit; dirty_settle(): how that ended;
 * dirty_unpoint(): there is none, and threads go on */
const struct checkpoint_page *dirty_pages(size_t *ret_count, bool *ret_is_pointed);
void dirty_settle(bool is_durable);
void dirty_unpoint(void);

/* dirty_stage() - a page of a region nobody tracks, as it shall be in the next epoch; bytes NULL:
 * zeros. dirty_again() - pages of the memory outside the heap are to be looked at. */
void dirty_stage(uint32_t region_id, uint64_t page, const char *bytes);
void dirty_again(uint64_t page, uint64_t page_count);
/* dirty_mend() - home has lost this page: if it is in memory, the next epoch is told of it */
void dirty_mend(uint32_t region_id, uint64_t page);

bool dirty_is_empty(void); /* is nothing staged or drafted? */

int dirty_note_zeros(uint64_t page, uint64_t page_count, bool is_mapped_anew);
uint32_t dirty_scans(void);
void dirty_note_stored(uint32_t scans, void *start, size_t len);
void dirty_note_unreadable(const void *start, size_t len);
