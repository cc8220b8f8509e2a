/*
 * What dirty's files share: the four places of a page that was told, and what is known of the
 * collection going on. Room-private, dirty's own.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "dirty.h"
#include "pageset.h"
#include "roster.h"
#include "staging.h"

struct dirty {
	struct dirty_plan plan;
	struct region regions[ROSTER_MAX];
	size_t region_count;
	struct staging staging;
	struct pageset again;   /* those with a number: changed without a store, or not copied when told */
	struct pageset drafted; /* likewise: given to the engine for the epoch to come */
	struct pageset hot;     /* likewise: dirty at the last cut, after all pre-copying */
	size_t visited;         /* pages, by the collection going on */
	int stage_error;
	unsigned round;         /* of pre-copying */
	unsigned attempts;      /* at an epoch, since the last one: pre-copying began */
	bool is_stopped;        /* all threads stand */
	bool may_point;         /* pages there is no room for are read where they are */
	bool is_over_limit;     /* there was no room for some */
	bool has_replaced;      /* mappings that were noted have come in the place of others */
	_Atomic bool is_careful; /* kept memory may be unreadable */
	_Atomic bool is_precopying;
	_Atomic uint32_t scans; /* begun and ended: odd while pages are told */
};
extern struct dirty dirty;

struct region *dirty_region(uint32_t region_id); /* NULL: there is none */

/* dirty_number() - pages of the heap and of the memory outside it have one number in the sets,
 * others none */
#define DIRTY_NO_NUMBER UINT64_MAX
uint64_t dirty_number(uint32_t region_id, uint64_t page);

/* dirty_stage_run() - the tracker's; dirty_stage_again() - of the set of that name;
 * dirty_stage_soon() - hear that a page will be staged, most of which is waiting for memory */
void dirty_stage_run(void *context, char *start, size_t len);
void dirty_stage_again(void *context, uint64_t number);
void dirty_stage_soon(const char *start, unsigned steps);
