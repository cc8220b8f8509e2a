/*
 * The problem: the tracker tells of a store once, copies take memory, an epoch may fail; yet the
 * next one must have every page that changed since the last. The trick: whatever was told is in
 * one of four places until its epoch is durable: with the engine as a draft, staged as a copy,
 * pointed at while all threads stand, or in a set of pages to be looked at again. The guarantee:
 * after dirty_collect() and a commit that succeeds, nothing that was stored before is missing;
 * after one that fails, all of it is told again by the next.
 *
 * While the program runs a page goes to the engine at once, which has then done most of its work
 * before the cut. But one that was dirty again at the last cut will be at this one: for it a copy,
 * which costs a tenth, is kept up to date.
 */
#include "dirty.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "exclude.h"
#include "os.h"
#include "ours.h"
#include "pageset.h"
#include "roster.h"
#include "staging.h"
#include "track.h"

#define PRECOPY_ROUNDS 4
#define PRECOPY_ENOUGH 64 /* pages: cheaper to copy in the cut than to scan again */
#define CAREFUL_WAIT_NS UINT64_C(100000)

static struct {
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
	bool is_stopped;        /* all threads stand */
	bool may_point;         /* pages there is no room for are read where they are */
	bool is_over_limit;     /* there was no room for some */
	bool has_replaced;      /* mappings that were noted have come in the place of others */
	_Atomic bool is_careful; /* kept memory may be unreadable */
	_Atomic bool is_precopying;
	_Atomic uint32_t scans; /* begun and ended: odd while pages are told */
} self OURS;

/* A page and where its bytes are now. */
struct spot {
	uint32_t region_id;
	uint64_t page;
	const char *source;
	uint64_t len; /* of the region's bytes in it */
	bool is_readable;
};

static struct region *find_region(uint32_t region_id)
{
	for (size_t i = 0; i < self.region_count; i++)
		if (self.regions[i].id == region_id)
			return &self.regions[i];
	return NULL;
}

/* Pages of the heap and of the memory outside it have one number in the sets, others none. */
#define NO_NUMBER UINT64_MAX
static uint64_t number_of(uint32_t region_id, uint64_t page)
{
	if (region_id == CHECKPOINT_REGION_HEAP)
		return page;
	return region_id == CHECKPOINT_REGION_MEMORY ? self.regions[0].page_count + page : NO_NUMBER;
}

/* All threads stand, and there is no room for a copy: look at it again in a quieter time, or, if
 * that did not come, let the commit read it where it is before they go on. */
static void stage_without_room(const struct spot *spot, const char *bytes)
{
	if (self.may_point && bytes == spot->source) {
		const int error = staging_point(&self.staging, spot->region_id, spot->page, bytes);
		self.stage_error = error ? error : self.stage_error;
	} else {
		self.is_over_limit = true;
		pageset_add(&self.again, number_of(spot->region_id, spot->page), 1);
	}
}

static int draft(const struct spot *spot, const char *bytes)
{
	const struct checkpoint_page page = {spot->region_id, spot->page, bytes};

	self.plan.before_draft();
	return checkpoint_draft(self.plan.checkpoint, &page);
}

static void stage_early(const struct spot *spot, const char *bytes)
{
	const uint64_t number = number_of(spot->region_id, spot->page);
	const bool is_staged = staging_has(&self.staging, spot->region_id, spot->page);
	const bool is_hot = self.round != 0 || pageset_has(&self.hot, number) || is_staged;

	if (is_hot && staging_put(&self.staging, spot->region_id, spot->page, bytes) == 0)
		return;
	/* Staged as zeros, which took no room: the commit would give that after the draft. */
	const int error = is_staged ? -ENOSPC : draft(spot, bytes);
	/* Drafts of an epoch that fails are lost with it. */
	pageset_add(error ? &self.again : &self.drafted, number, 1);
}

static void stage_at_cut(const struct spot *spot, const char *bytes)
{
	pageset_add(&self.hot, number_of(spot->region_id, spot->page), 1);
	if (staging_put(&self.staging, spot->region_id, spot->page, bytes) != 0)
		stage_without_room(spot, bytes);
}

static void stage_unlimited(const struct spot *spot, const char *bytes)
{
	const int error = staging_put(&self.staging, spot->region_id, spot->page, bytes);

	if (!error)
		return;
	track_again(self.plan.track, spot->source); /* no memory: it would not be what it says */
	self.stage_error = error;
}

/* A page as the epoch shall have it, if it cannot be taken from where it is: the end of a region is
 * not the end of a page, some bytes are excluded, or the program has made it unreadable.
 * 1: put together; 0: not needed; -errno */
static int put_together(char *ret_copy, const struct spot *spot)
{
	const char *source = spot->source;
	const uint64_t len = spot->len;
	int error = 0;

	if (len == LAYOUT_BLOCK_BYTES && exclude_is_empty() && spot->is_readable &&
	    !ours_touches(source, len))
		return 0;
	memset(ret_copy + len, 0, LAYOUT_BLOCK_BYTES - len);
	if (spot->is_readable)
		memcpy(ret_copy, source, len);
	else
		error = os_read_memory(ret_copy, source, len);
	exclude_apply(source, ret_copy, len);
	ours_blot(source, ret_copy, len);
	return error ? error : 1;
}

/* It would not be what it says. Of memory that comes and goes while threads run, it is not known
 * what it is before they stand. */
static void stage_failed(const struct spot *spot, int error)
{
	if (spot->region_id == CHECKPOINT_REGION_MEMORY) {
		pageset_add(&self.again, number_of(spot->region_id, spot->page), 1);
		if (!self.is_stopped)
			return;
	} else {
		track_again(self.plan.track, spot->source);
	}
	self.stage_error = error;
}

static void stage_spot(const struct spot *spot)
{
	char copy[LAYOUT_BLOCK_BYTES] __attribute__((aligned(64)));
	const int status = put_together(copy, spot);
	const char *bytes = status ? copy : spot->source;

	self.visited++;
	if (status < 0) {
		stage_failed(spot, status);
		return;
	}
	/* What has to be put together cannot be pointed at. Such pages, and kept globals, are few, and
	 * staged whatever the limit. Memory outside the heap is always put together while threads run. */
	const bool is_limited =
		(spot->region_id == CHECKPOINT_REGION_MEMORY && !(status && self.is_stopped)) ||
		(spot->region_id == CHECKPOINT_REGION_HEAP && !status);
	self.staging.limit_bytes = is_limited ? self.plan.staging_bytes : SIZE_MAX;
	if (!is_limited)
		stage_unlimited(spot, bytes);
	else if (self.is_stopped)
		stage_at_cut(spot, bytes);
	else
		stage_early(spot, bytes);
}

static void stage_page(const struct region *region, uint64_t page)
{
	const char *source = region->address + page * LAYOUT_BLOCK_BYTES;
	const uint64_t len = region_page_bytes(region, page);

	stage_spot(&(struct spot){region->id, page, source, len,
				  !self.is_careful || os_is_readable(source, len)});
}

/* Memory that is kept wherever it lies. While threads run, any of it may go. */
static void stage_memory(char *start, size_t len)
{
	const struct committer_memory *memory = self.plan.memory;

	while (len) {
		uint64_t page;
		bool is_readable;
		const size_t piece = memory->place(start, len, &page, &is_readable);
		for (size_t at = 0; page != COMMITTER_NOT_KEPT && at < piece; at += LAYOUT_BLOCK_BYTES)
			stage_spot(&(struct spot){CHECKPOINT_REGION_MEMORY,
						  page + at / LAYOUT_BLOCK_BYTES, start + at,
						  LAYOUT_BLOCK_BYTES, is_readable && self.is_stopped});
		start += piece;
		len -= piece;
	}
}

/* A page will be looked at, most of which is waiting for memory. Only of the heap, which may have
 * many. */
static void stage_soon(const char *start, unsigned steps)
{
	const struct region *heap = &self.regions[0];
	const uint64_t at = (uint64_t)(start - heap->address);

	if (at >= region_bytes(heap))
		return;
	if (!self.is_stopped)
		checkpoint_expect(self.plan.checkpoint, heap->id, at / LAYOUT_BLOCK_BYTES, steps);
	for (unsigned i = 0; steps == 1 && i < LAYOUT_BLOCK_BYTES; i += LAYOUT_LINE_BYTES)
		__builtin_prefetch(start + i, 0, 2);
}

/* What of [start, end) is not the heap's: a program may have memory right before or behind it. */
static void stage_beside_heap(char *start, char *end)
{
	const struct region *heap = &self.regions[0];
	char *const heap_end = heap->address + region_bytes(heap);

	if (start < heap->address)
		stage_memory(start, (size_t)((end < heap->address ? end : heap->address) - start));
	if (end > heap_end)
		stage_memory(start > heap_end ? start : heap_end,
			     (size_t)(end - (start > heap_end ? start : heap_end)));
}

/* A run of the tracker's pages may touch several regions. */
static void stage_run(void *context, char *start, size_t len)
{
	for (size_t i = 0; i < self.region_count; i++) {
		const struct region *region = &self.regions[i];
		if (!region->address || start >= region->address + region_bytes(region) ||
		    start + len <= region->address)
			continue;
		uint64_t first;
		const uint64_t count = region_pages_at(region, start, len, &first);
		for (uint64_t page = first; page < first + count; page++) {
			for (unsigned steps = 1; steps <= 3 && page + steps < first + count; steps++)
				stage_soon(region->address + (page + steps) * LAYOUT_BLOCK_BYTES, steps);
			stage_page(region, page);
		}
	}
	if (self.plan.memory)
		stage_beside_heap(start, start + len);
}

/* What is nowhere any more is kept as zeros, which gives its place in the pool back. */
static void stage_again(void *context, uint64_t number)
{
	const uint64_t heap_pages = self.regions[0].page_count;

	if (number < heap_pages) {
		stage_page(&self.regions[0], number);
		return;
	}
	const uint64_t page = number - heap_pages;
	char *address = self.plan.memory->address(page);
	if (address)
		stage_memory(address, LAYOUT_BLOCK_BYTES);
	else if (staging_put(&self.staging, CHECKPOINT_REGION_MEMORY, page, NULL) != 0)
		pageset_add(&self.again, number, 1);
}

void dirty_stage(uint32_t region_id, uint64_t page, const char *bytes)
{
	self.staging.limit_bytes = SIZE_MAX;
	const int error = staging_put(&self.staging, region_id, page, bytes);
	self.stage_error = error ? error : self.stage_error;
}

bool dirty_is_empty(void)
{
	return self.staging.page_count == 0 && pageset_is_empty(&self.drafted);
}

void dirty_again(uint64_t page, uint64_t page_count)
{
	pageset_add(&self.again, number_of(CHECKPOINT_REGION_MEMORY, page), page_count);
}

/* Memory may show what the disk does not give: that would be the end of the program. */
void dirty_mend(uint32_t region_id, uint64_t page)
{
	const struct region *region = find_region(region_id);
	const char *address = NULL;

	if (region && region->address)
		address = region->address + page * LAYOUT_BLOCK_BYTES;
	else if (region_id == CHECKPOINT_REGION_MEMORY && self.plan.memory)
		address = self.plan.memory->address(page);
	if (!address || !os_is_readable(address, LAYOUT_BLOCK_BYTES))
		return;
	if (number_of(region_id, page) == NO_NUMBER)
		track_again(self.plan.track, address);
	else
		pageset_add(&self.again, number_of(region_id, page), 1);
}

/* One collection: first what no tracker tells, since it may have been stored to by now. */
static int collect(size_t *ret_pages)
{
	self.visited = 0;
	self.stage_error = 0;
	pageset_take(&self.again, stage_again, NULL);
	atomic_fetch_add(&self.scans, 1);
	const int error = track_collect(self.plan.track, stage_run, NULL);
	atomic_fetch_add(&self.scans, 1);
	*ret_pages = self.visited;
	return error ? error : self.stage_error;
}

/* Round after round while it shrinks: what the last one leaves is the pause. */
static void precopy_rounds(void)
{
	size_t before = SIZE_MAX, pages = 0;

	for (self.round = 0; self.round < PRECOPY_ROUNDS && !self.is_careful; self.round++) {
		if (collect(&pages) != 0 || pages <= PRECOPY_ENOUGH || pages > before / 4 * 3)
			return;
		before = pages;
	}
}

void dirty_precopy(void)
{
	if (!track_can_run(self.plan.track))
		return;
	track_survey(self.plan.track);
	self.is_precopying = true; /* before is_careful is looked at: see dirty_note_unreadable() */
	precopy_rounds();
	self.is_precopying = false;
}

/* The heap's are its own, and noted by it. */
static void note_replaced(char *start, size_t len)
{
	const struct region *heap = &self.regions[0];

	if (start < heap->address + region_bytes(heap) && start + len > heap->address)
		return;
	self.plan.memory->replaced((uintptr_t)start, (uintptr_t)start + len);
	self.has_replaced = true;
}

/* Likewise. All threads stand: pages of it that are not in the directory of this epoch are nowhere
 * in its image, and the next one makes them zeros. */
static void note_gone(char *start, size_t len)
{
	const struct region *heap = &self.regions[0];

	if (start >= heap->address + region_bytes(heap) || start + len <= heap->address)
		self.plan.memory->gone((uintptr_t)start, (uintptr_t)start + len);
}

static bool is_memory_kept(const char *start, size_t len)
{
	return self.plan.memory->is_kept((uintptr_t)start, (uintptr_t)start + len);
}

static void again_pointed(void *context, uint32_t region_id, uint64_t page)
{
	if (number_of(region_id, page) != NO_NUMBER)
		pageset_add(&self.again, number_of(region_id, page), 1);
	for (size_t i = 1; i < self.region_count; i++)
		if (self.regions[i].id == region_id)
			track_again(self.plan.track, self.regions[i].address);
}

/* All threads stand. What libc has unmapped, and something else was mapped in its place, comes to
 * light in the midst of it; what was there must not be kept as its. */
static int collect_standing(void)
{
	size_t pages;

	self.has_replaced = false;
	int error = collect(&pages);
	if (error || !self.has_replaced)
		return error;
	staging_unpoint(&self.staging, again_pointed, NULL);
	error = self.plan.memory->meet();
	return error ? error : collect(&pages);
}

int dirty_collect(bool may_point)
{

	self.may_point = may_point;
	self.is_over_limit = false;
	self.is_stopped = true;
	pageset_take(&self.hot, NULL, NULL);
	const int error = collect_standing();
	self.is_stopped = false;
	return error ? error : self.is_over_limit ? DIRTY_E_TOO_MUCH : 0;
}

const struct checkpoint_page *dirty_pages(size_t *ret_count, bool *ret_is_pointed)
{
	*ret_is_pointed = self.staging.pointed_count != 0;
	return staging_pages(&self.staging, ret_count);
}

static void again_drafted(void *context, uint64_t page)
{
	pageset_add(&self.again, page, 1);
}

void dirty_settle(bool is_durable)
{
	if (is_durable) {
		staging_clear(&self.staging);
		pageset_take(&self.drafted, NULL, NULL);
	} else {
		staging_unpoint(&self.staging, again_pointed, NULL);
		pageset_take(&self.drafted, again_drafted, NULL);
	}
}

/* ---- What is kept ---- */

int dirty_open(const struct dirty_plan *plan)
{
	self.plan = *plan;
	for (size_t i = 0; i < plan->region_count; i++)
		self.regions[i] = plan->regions[i];
	self.region_count = plan->region_count;
	plan->track->soon = stage_soon;
	plan->track->replaced = plan->memory ? note_replaced : NULL;
	plan->track->gone = plan->memory ? note_gone : NULL;
	plan->track->is_kept = plan->memory ? is_memory_kept : NULL;
	staging_open(&self.staging, plan->staging_bytes);
	const uint64_t pages = self.regions[0].page_count +
			       (plan->memory ? CHECKPOINT_MEMORY_PAGES : 0);
	int error = pageset_open(&self.again, pages);
	if (!error)
		error = pageset_open(&self.drafted, pages);
	return error ? error : pageset_open(&self.hot, pages);
}

int dirty_add_region(struct region *region)
{
	struct region *known = find_region(region->id);
	int error = checkpoint_add_region(self.plan.checkpoint, region);

	if (!error && region->address)
		error = track_add(self.plan.track, region_memory_start(region),
				  region_memory_bytes(region));
	if (error)
		return error;
	*(known ? known : &self.regions[self.region_count++]) = *region;
	return 0;
}

/* ---- Told by others than the tracker ---- */

int dirty_note_zeros(uint64_t page, uint64_t page_count, bool is_mapped_anew)
{
	pageset_add(&self.again, page, page_count);
	return is_mapped_anew ? track_renew(self.plan.track,
					    self.regions[0].address + page * LAYOUT_BLOCK_BYTES,
					    page_count * LAYOUT_BLOCK_BYTES) : 0;
}

static bool is_kept(const void *start, size_t len)
{
	const char *from = start;
	bool is_kept = false;

	for (size_t i = 0; i < self.region_count; i++) {
		const struct region *region = &self.regions[i];
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
	self.is_careful = true;
	self.plan.track->has_closed = true;
	while (self.is_precopying)
		os_sleep_ns(CAREFUL_WAIT_NS);
}

uint32_t dirty_scans(void)
{
	return self.scans;
}

/* A byte of each page is exchanged for itself. */
void dirty_note_stored(uint32_t scans, void *start, size_t len)
{
	char *const end = (char *)start + len;

	if ((scans == self.scans && scans % 2 == 0) || !is_kept(start, len))
		return;
	for (char *at = start; at < end;
	     at += LAYOUT_BLOCK_BYTES - (uintptr_t)at % LAYOUT_BLOCK_BYTES)
		__atomic_fetch_or(at, 0, __ATOMIC_RELAXED);
}

void dirty_forget(void)
{
	if (self.plan.track)
		track_forget(self.plan.track);
}
