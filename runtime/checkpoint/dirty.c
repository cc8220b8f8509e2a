/*
 * The problem: the tracker tells of a store once, copies take memory, an epoch may fail; yet the
 * next one must have every page that changed since the last. The trick: whatever was told is in
 * one of four places until its epoch is durable: with the engine as a draft, staged as a copy,
 * pointed at while all threads stand, or in a set of pages to be looked at again. The guarantee:
 * after dirty_collect() and a commit that succeeds, nothing that was stored before is missing;
 * after one that fails, all of it is told again by the next.
 *
 * How a page gets to its place: dirty-stage.c.
 */
#include "dirty-parts.h"

#include "os.h"
#include "ours.h"
#include "track.h"

#define PRECOPY_ROUNDS 4
#define PRECOPY_ENOUGH 64 /* pages: cheaper to copy in the cut than to scan again */
#define CAREFUL_WAIT_NS UINT64_C(100000)

struct dirty dirty OURS;

bool dirty_is_empty(void)
{
	return dirty.staging.page_count == 0 && pageset_is_empty(&dirty.drafted);
}

void dirty_again(uint64_t page, uint64_t page_count)
{
	pageset_add(&dirty.again, dirty_number(CHECKPOINT_REGION_MEMORY, page), page_count);
}

/* Memory may show what the disk does not give: that would be the end of the program. */
void dirty_mend(uint32_t region_id, uint64_t page)
{
	const struct region *region = dirty_region(region_id);
	const char *address = NULL;

	if (region && region->address)
		address = region->address + page * LAYOUT_BLOCK_BYTES;
	else if (region_id == CHECKPOINT_REGION_MEMORY && dirty.plan.memory)
		address = dirty.plan.memory->address(page);
	if (!address || !os_is_readable(address, LAYOUT_BLOCK_BYTES))
		return;
	if (dirty_number(region_id, page) == DIRTY_NO_NUMBER)
		track_again(dirty.plan.track, address);
	else
		pageset_add(&dirty.again, dirty_number(region_id, page), 1);
}

/* One collection: first what no tracker tells, since it may have been stored to by now. */
static int collect(size_t *ret_pages)
{
	dirty.visited = 0;
	dirty.stage_error = 0;
	pageset_take(&dirty.again, dirty_stage_again, NULL);
	atomic_fetch_add(&dirty.scans, 1);
	const int error = track_collect(dirty.plan.track, dirty_stage_run, NULL);
	atomic_fetch_add(&dirty.scans, 1);
	*ret_pages = dirty.visited;
	return error ? error : dirty.stage_error;
}

/* Round after round while it shrinks: what the last one leaves is the pause. */
static void precopy_rounds(void)
{
	size_t before = SIZE_MAX, pages = 0;

	for (dirty.round = 0; dirty.round < PRECOPY_ROUNDS && !dirty.is_careful; dirty.round++) {
		if (collect(&pages) != 0 || pages <= PRECOPY_ENOUGH || pages > before / 4 * 3)
			return;
		before = pages;
	}
}

void dirty_precopy(void)
{
	if (!track_can_run(dirty.plan.track))
		return;
	track_survey(dirty.plan.track);
	dirty.attempts++;
	dirty.is_precopying = true; /* before is_careful is looked at: see dirty_note_unreadable() */
	precopy_rounds();
	dirty.is_precopying = false;
}

/* The heap's are its own, and noted by it. */
static void note_replaced(char *start, size_t len)
{
	const struct region *heap = &dirty.regions[0];

	if (start < heap->address + region_bytes(heap) && start + len > heap->address)
		return;
	dirty.plan.memory->replaced((uintptr_t)start, (uintptr_t)start + len);
	dirty.has_replaced = true;
}

/* Likewise. All threads stand: pages of it that are not in the directory of this epoch are nowhere
 * in its image, and the next one makes them zeros. */
static void note_gone(char *start, size_t len)
{
	const struct region *heap = &dirty.regions[0];

	if (start >= heap->address + region_bytes(heap) || start + len <= heap->address)
		dirty.plan.memory->gone((uintptr_t)start, (uintptr_t)start + len);
}

static bool is_memory_kept(const char *start, size_t len)
{
	return dirty.plan.memory->is_kept((uintptr_t)start, (uintptr_t)start + len);
}

static void again_pointed(void *context, uint32_t region_id, uint64_t page)
{
	if (dirty_number(region_id, page) != DIRTY_NO_NUMBER)
		pageset_add(&dirty.again, dirty_number(region_id, page), 1);
	for (size_t i = 1; i < dirty.region_count; i++)
		if (dirty.regions[i].id == region_id)
			track_again(dirty.plan.track, dirty.regions[i].address);
}

/* All threads stand. What libc has unmapped, and something else was mapped in its place, comes to
 * light in the midst of it; what was there must not be kept as its. */
static int collect_standing(void)
{
	size_t pages;

	dirty.has_replaced = false;
	int error = collect(&pages);
	if (error || !dirty.has_replaced)
		return error;
	staging_unpoint(&dirty.staging, again_pointed, NULL);
	error = dirty.plan.memory->meet();
	return error ? error : collect(&pages);
}

int dirty_collect(bool may_point)
{
	dirty.may_point = may_point;
	dirty.is_over_limit = false;
	dirty.is_stopped = true;
	pageset_take(&dirty.hot, NULL, NULL);
	const int error = collect_standing();
	dirty.is_stopped = false;
	return error ? error : dirty.is_over_limit ? DIRTY_E_TOO_MUCH : 0;
}

const struct checkpoint_page *dirty_pages(size_t *ret_count, bool *ret_is_pointed)
{
	*ret_is_pointed = dirty.staging.pointed_count != 0;
	return staging_pages(&dirty.staging, ret_count);
}

static void again_drafted(void *context, uint64_t page)
{
	pageset_add(&dirty.again, page, 1);
}

void dirty_unpoint(void)
{
	staging_unpoint(&dirty.staging, again_pointed, NULL);
}

void dirty_settle(bool is_durable)
{
	dirty.attempts = 0;
	if (is_durable) {
		staging_clear(&dirty.staging);
		pageset_take(&dirty.drafted, NULL, NULL);
	} else {
		dirty_unpoint();
		pageset_take(&dirty.drafted, again_drafted, NULL);
	}
}

/* ---- What is kept ---- */

int dirty_open(const struct dirty_plan *plan)
{
	dirty.plan = *plan;
	for (size_t i = 0; i < plan->region_count; i++)
		dirty.regions[i] = plan->regions[i];
	dirty.region_count = plan->region_count;
	plan->track->soon = dirty_stage_soon;
	plan->track->replaced = plan->memory ? note_replaced : NULL;
	plan->track->gone = plan->memory ? note_gone : NULL;
	plan->track->is_kept = plan->memory ? is_memory_kept : NULL;
	staging_open(&dirty.staging, plan->staging_bytes);
	const uint64_t pages = dirty.regions[0].page_count +
			       (plan->memory ? CHECKPOINT_MEMORY_PAGES : 0);
	int error = pageset_open(&dirty.again, pages);
	if (!error)
		error = pageset_open(&dirty.drafted, pages);
	return error ? error : pageset_open(&dirty.hot, pages);
}

int dirty_add_region(struct region *region)
{
	struct region *known = dirty_region(region->id);
	int error = checkpoint_add_region(dirty.plan.checkpoint, region);

	if (!error && region->address)
		error = track_add(dirty.plan.track, region_memory_start(region),
				  region_memory_bytes(region));
	if (error)
		return error;
	*(known ? known : &dirty.regions[dirty.region_count++]) = *region;
	return 0;
}

/* ---- Told by others than the tracker ---- */

int dirty_note_zeros(uint64_t page, uint64_t page_count, bool is_mapped_anew)
{
	pageset_add(&dirty.again, page, page_count);
	return is_mapped_anew ? track_renew(dirty.plan.track,
					    dirty.regions[0].address + page * LAYOUT_BLOCK_BYTES,
					    page_count * LAYOUT_BLOCK_BYTES) : 0;
}

static bool is_kept(const void *start, size_t len)
{
	const char *from = start;
	bool is_kept = false;

	for (size_t i = 0; i < dirty.region_count; i++) {
		const struct region *region = &dirty.regions[i];
		is_kept |= region->address && from < region->address + region_bytes(region) &&
			   from + len > region->address;
	}
	return is_kept;
}

/* Between looking at a page and copying it, its protection must not change: hence no pre-copy any
 * more, and one that is going on is waited for. */
void dirty_note_unreadable(const void *start, size_t len)
{
	if (!is_kept(start, len))
		return;
	dirty.is_careful = true;
	dirty.plan.track->has_closed = true;
	while (dirty.is_precopying)
		os_sleep_ns(CAREFUL_WAIT_NS);
}

uint32_t dirty_scans(void)
{
	return dirty.scans;
}

/* A byte of each page is exchanged for itself. Of a process all memory is kept, or is a file's,
 * which that does not harm. */
void dirty_note_stored(uint32_t scans, void *start, size_t len)
{
	char *const end = (char *)start + len;

	if ((scans == dirty.scans && scans % 2 == 0) ||
	    !(dirty.plan.memory || is_kept(start, len)))
		return;
	for (char *at = start; at < end;
	     at += LAYOUT_BLOCK_BYTES - (uintptr_t)at % LAYOUT_BLOCK_BYTES)
		__atomic_fetch_or(at, 0, __ATOMIC_RELAXED);
}

void dirty_forget(void)
{
	if (dirty.plan.track)
		track_forget(dirty.plan.track);
}
