/*
 * The problem: a page that was told must be in the next epoch as it is at the cut, whatever is in
 * the way: no room for a copy, bytes that are excluded, a protection, memory that is gone. The
 * trick: while the program runs a page goes to the engine at once, which has then done most of its
 * work before the cut; but one that was dirty again at the last cut will be at this one: for it a
 * copy, which costs a tenth, is kept up to date. The guarantee: what could not be staged is told
 * again, or fails the epoch; it is never left out.
 */
#include "dirty-parts.h"

#include <errno.h>
#include <string.h>

#include "exclude.h"
#include "os.h"
#include "ours.h"
#include "track.h"

#define DRAFTING_ATTEMPTS 3u /* as many as a flood is given */

/* A page and where its bytes are now. */
struct spot {
	uint32_t region_id;
	uint64_t page;
	const char *source;
	uint64_t len; /* of the region's bytes in it */
	bool is_readable;
};

struct region *dirty_region(uint32_t region_id)
{
	for (size_t i = 0; i < dirty.region_count; i++)
		if (dirty.regions[i].id == region_id)
			return &dirty.regions[i];
	return NULL;
}

uint64_t dirty_number(uint32_t region_id, uint64_t page)
{
	if (region_id == CHECKPOINT_REGION_HEAP)
		return page;
	if (region_id == CHECKPOINT_REGION_MEMORY)
		return dirty.regions[0].page_count + page;
	return DIRTY_NO_NUMBER;
}

/* All threads stand, and there is no room for a copy: look at it again in a quieter time, or, if
 * that did not come, let the commit read it where it is before they go on. */
static void stage_without_room(const struct spot *spot, const char *bytes)
{
	if (dirty.may_point && bytes == spot->source) {
		const int error = staging_point(&dirty.staging, spot->region_id, spot->page, bytes);
		dirty.stage_error = error ? error : dirty.stage_error;
	} else {
		dirty.is_over_limit = true;
		pageset_add(&dirty.again, dirty_number(spot->region_id, spot->page), 1);
	}
}

static int draft(const struct spot *spot, const char *bytes)
{
	const struct checkpoint_page page = {spot->region_id, spot->page, bytes};

	dirty.plan.before_draft();
	return checkpoint_draft(dirty.plan.checkpoint, &page);
}

/* Each draft is log that only an epoch makes free again, and there may be none for days. So after
 * some attempts at one, what is drafted is not drafted again. */
static void stage_early(const struct spot *spot, const char *bytes)
{
	const uint64_t number = dirty_number(spot->region_id, spot->page);
	const bool is_staged = staging_has(&dirty.staging, spot->region_id, spot->page);
	const bool is_drafted = dirty.attempts > DRAFTING_ATTEMPTS &&
				pageset_has(&dirty.drafted, number);
	const bool is_hot = dirty.round != 0 || pageset_has(&dirty.hot, number) || is_staged ||
			    is_drafted;

	if (is_hot && staging_put(&dirty.staging, spot->region_id, spot->page, bytes) == 0)
		return;
	/* Staged as zeros, which took no room: the commit would give that after the draft. */
	const int error = is_staged || is_drafted ? -ENOSPC : draft(spot, bytes);
	/* Drafts of an epoch that fails are lost with it. */
	pageset_add(error ? &dirty.again : &dirty.drafted, number, 1);
}

static void stage_at_cut(const struct spot *spot, const char *bytes)
{
	pageset_add(&dirty.hot, dirty_number(spot->region_id, spot->page), 1);
	if (staging_put(&dirty.staging, spot->region_id, spot->page, bytes) != 0)
		stage_without_room(spot, bytes);
}

static void stage_unlimited(const struct spot *spot, const char *bytes)
{
	const int error = staging_put(&dirty.staging, spot->region_id, spot->page, bytes);

	if (!error)
		return;
	track_again(dirty.plan.track, spot->source); /* no memory: it would not be what it says */
	dirty.stage_error = error;
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
		pageset_add(&dirty.again, dirty_number(spot->region_id, spot->page), 1);
		if (!dirty.is_stopped)
			return;
	} else {
		track_again(dirty.plan.track, spot->source);
	}
	dirty.stage_error = error;
}

static void stage_spot(const struct spot *spot)
{
	char copy[LAYOUT_BLOCK_BYTES] __attribute__((aligned(64)));
	const int status = put_together(copy, spot);
	const char *bytes = status ? copy : spot->source;

	dirty.visited++;
	if (status < 0) {
		stage_failed(spot, status);
		return;
	}
	/* What has to be put together cannot be pointed at. Such pages, and kept globals, are few, and
	 * staged whatever the limit. Memory outside the heap is always put together while threads run. */
	const bool is_limited =
		(spot->region_id == CHECKPOINT_REGION_MEMORY && !(status && dirty.is_stopped)) ||
		(spot->region_id == CHECKPOINT_REGION_HEAP && !status);
	dirty.staging.limit_bytes = is_limited ? dirty.plan.staging_bytes : SIZE_MAX;
	if (!is_limited)
		stage_unlimited(spot, bytes);
	else if (dirty.is_stopped)
		stage_at_cut(spot, bytes);
	else
		stage_early(spot, bytes);
}

static void stage_page(const struct region *region, uint64_t page)
{
	const char *source = region->address + page * LAYOUT_BLOCK_BYTES;
	const uint64_t len = region_page_bytes(region, page);

	stage_spot(&(struct spot){region->id, page, source, len,
				  !dirty.is_careful || os_is_readable(source, len)});
}

/* Memory that is kept wherever it lies. While threads run, any of it may go. */
static void stage_memory(char *start, size_t len)
{
	const struct committer_memory *memory = dirty.plan.memory;

	while (len) {
		uint64_t page;
		bool is_readable;
		const size_t piece = memory->place(start, len, &page, &is_readable);
		for (size_t at = 0; page != COMMITTER_NOT_KEPT && at < piece; at += LAYOUT_BLOCK_BYTES)
			stage_spot(&(struct spot){CHECKPOINT_REGION_MEMORY,
						  page + at / LAYOUT_BLOCK_BYTES, start + at,
						  LAYOUT_BLOCK_BYTES, is_readable && dirty.is_stopped});
		start += piece;
		len -= piece;
	}
}

/* A page will be looked at, most of which is waiting for memory. Only of the heap, which may have
 * many. */
void dirty_stage_soon(const char *start, unsigned steps)
{
	const struct region *heap = &dirty.regions[0];
	const uint64_t at = (uint64_t)(start - heap->address);

	if (at >= region_bytes(heap))
		return;
	if (!dirty.is_stopped)
		checkpoint_expect(dirty.plan.checkpoint, heap->id, at / LAYOUT_BLOCK_BYTES, steps);
	for (unsigned i = 0; steps == 1 && i < LAYOUT_BLOCK_BYTES; i += LAYOUT_LINE_BYTES)
		__builtin_prefetch(start + i, 0, 2);
}

/* What of [start, end) is not the heap's: a program may have memory right before or behind it. */
static void stage_beside_heap(char *start, char *end)
{
	const struct region *heap = &dirty.regions[0];
	char *const heap_end = heap->address + region_bytes(heap);

	if (start < heap->address)
		stage_memory(start, (size_t)((end < heap->address ? end : heap->address) - start));
	if (end > heap_end)
		stage_memory(start > heap_end ? start : heap_end,
			     (size_t)(end - (start > heap_end ? start : heap_end)));
}

/* A run of the tracker's pages may touch several regions. */
void dirty_stage_run(void *context, char *start, size_t len)
{
	for (size_t i = 0; i < dirty.region_count; i++) {
		const struct region *region = &dirty.regions[i];
		if (!region->address || start >= region->address + region_bytes(region) ||
		    start + len <= region->address)
			continue;
		uint64_t first;
		const uint64_t count = region_pages_at(region, start, len, &first);
		for (uint64_t page = first; page < first + count; page++) {
			for (unsigned steps = 1; steps <= 3 && page + steps < first + count; steps++)
				dirty_stage_soon(region->address + (page + steps) * LAYOUT_BLOCK_BYTES, steps);
			stage_page(region, page);
		}
	}
	if (dirty.plan.memory)
		stage_beside_heap(start, start + len);
}

/* What is nowhere any more is kept as zeros, which gives its place in the pool back. */
void dirty_stage_again(void *context, uint64_t number)
{
	const uint64_t heap_pages = dirty.regions[0].page_count;

	if (number < heap_pages) {
		stage_page(&dirty.regions[0], number);
		return;
	}
	const uint64_t page = number - heap_pages;
	char *address = dirty.plan.memory->address(page);
	if (address)
		stage_memory(address, LAYOUT_BLOCK_BYTES);
	else if (staging_put(&dirty.staging, CHECKPOINT_REGION_MEMORY, page, NULL) != 0)
		pageset_add(&dirty.again, number, 1);
}

void dirty_stage(uint32_t region_id, uint64_t page, const char *bytes)
{
	dirty.staging.limit_bytes = SIZE_MAX;
	const int error = staging_put(&dirty.staging, region_id, page, bytes);
	dirty.stage_error = error ? error : dirty.stage_error;
}
