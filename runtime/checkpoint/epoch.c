/*
 * Making an epoch.
 *
 * Pages are staged (stage.c), drafts before the cut and the rest after it. The last record carries
 * the commit flag, and from the moment its append is durable the epoch is the one recovery returns
 * to. After a failure the annals are rolled back to the last epoch, and the next commit works from
 * there.
 *
 * Epoch numbers are given at the attempt, not at the success. A failed append may be on media all
 * the same; its number then stands for that cut and for no other.
 */
#include "engine.h"

#include <errno.h>
#include <string.h>

#include "check.h"
#include "stage.h"

/* With the first draft, else with the commit. */
void epoch_begin(struct checkpoint *checkpoint)
{
	CHECK(checkpoint->is_writer);
	if (checkpoint->is_begun)
		return;
	checkpoint->is_begun = true;
	checkpoint->draft_error = 0;
	checkpoint->fresh_count = 0;
	stage_begin(checkpoint, checkpoint->attempt + 1);
}

int checkpoint_draft(struct checkpoint *checkpoint, const struct checkpoint_page *page)
{
	char copy[LAYOUT_BLOCK_BYTES] __attribute__((aligned(64)));

	epoch_begin(checkpoint);
	if (checkpoint->draft_error)
		return checkpoint->draft_error;
	/* Stores go on: what is summed, compared and written must be the same. */
	if (page->bytes)
		memcpy(copy, page->bytes, sizeof(copy));
	checkpoint->draft_error = stage_page(checkpoint, region_key(page->region, page->index),
					     page->bytes ? copy : NULL);
	return checkpoint->draft_error;
}

void checkpoint_expect(const struct checkpoint *checkpoint, uint32_t region, uint64_t index,
		       unsigned steps)
{
	annals_expect(&checkpoint->annals, region_key(region, index), steps);
}

/* The cut has been taken: from here on the number stands for it. */
static int epoch_cut(struct checkpoint *checkpoint)
{
	epoch_begin(checkpoint);
	checkpoint->attempt++;
	return checkpoint->draft_error;
}

static int epoch_end(struct checkpoint *checkpoint, int error, uint64_t *ret_epoch)
{
	if (!error)
		error = stage_bulk(checkpoint);
	const bool is_changed = !annals_is_clean(&checkpoint->annals);
	if (!error && is_changed)
		error = stage_append(checkpoint, LAYOUT_RECORD_COMMIT);
	bulk_forget(&checkpoint->bulk, !error, checkpoint->info.epochs);
	checkpoint->is_begun = false;
	checkpoint->info.error = error;
	if (error) {
		annals_rollback(&checkpoint->annals);
		carry_rollback(&checkpoint->carry, checkpoint->epoch);
		return error;
	}
	if (is_changed) {
		annals_commit(&checkpoint->annals);
		damage_settle(&checkpoint->damage, &checkpoint->annals);
		checkpoint->epoch = checkpoint->attempt;
		select_epoch(checkpoint, checkpoint->epoch);
		checkpoint->info.epochs++;
	}
	*ret_epoch = checkpoint->epoch;
	return 0;
}

int checkpoint_commit(struct checkpoint *checkpoint, const struct checkpoint_page *pages,
		      size_t page_count, uint64_t *ret_epoch)
{
	int error = epoch_cut(checkpoint);

	for (size_t i = 0; !error && i < page_count; i++) {
		for (unsigned steps = 1; steps <= 3 && i + steps < page_count; steps++)
			checkpoint_expect(checkpoint, pages[i + steps].region, pages[i + steps].index,
					  steps);
		error = stage_page(checkpoint, region_key(pages[i].region, pages[i].index),
				   pages[i].bytes);
	}
	return epoch_end(checkpoint, error, ret_epoch);
}

static int stage_region(struct checkpoint *checkpoint, const struct region *region)
{
	char clipped[LAYOUT_BLOCK_BYTES] = {0};
	int error = 0;

	for (uint64_t page = 0; !error && page < region->page_count; page++) {
		const char *bytes = region->address + page * LAYOUT_BLOCK_BYTES;
		const uint64_t len = region_page_bytes(region, page);
		if (len < LAYOUT_BLOCK_BYTES)
			bytes = memcpy(clipped, bytes, len);
		error = stage_page(checkpoint, region_key(region->id, page), bytes);
	}
	return error;
}

int checkpoint_commit_compared(struct checkpoint *checkpoint, uint64_t *ret_epoch)
{
	const struct roster *roster = &checkpoint->roster;
	int error = epoch_cut(checkpoint);

	for (uint32_t i = 0; !error && i < roster->count; i++)
		if (roster->regions[i].address)
			error = stage_region(checkpoint, &roster->regions[i]);
	return epoch_end(checkpoint, error, ret_epoch);
}
