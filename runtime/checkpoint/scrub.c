/*
 * The problem: what is damaged at rest is found by whoever needs it, years later. The trick: read
 * all of it now. A terabyte of hole has two gigabytes of checksums that are holes as well, so the
 * table is read in blocks and only pages that are something are looked at. The guarantee: after it,
 * every page of the region has been compared with what was committed, or reported.
 */
#include "engine.h"

#define SUMS_PER_BLOCK (LAYOUT_BLOCK_BYTES / sizeof(uint64_t))

struct scrub {
	struct checkpoint *checkpoint;
	const struct region *region;
	checkpoint_hear *hear;
	void *context;
	uint64_t pages;
};

static int scrub_page(struct scrub *scrub, uint64_t page)
{
	char bytes[LAYOUT_BLOCK_BYTES] __attribute__((aligned(64)));
	struct home *home = &scrub->checkpoint->home;
	int error = checkpoint_page(scrub->checkpoint, scrub->region->id, page, bytes);

	scrub->pages++;
	if (!error)
		return 0;
	if (error != CHECKPOINT_E_DAMAGED)
		home->fault = (struct home_fault){
			.file_offset = region_home_place(scrub->region, &home->anchor->sb, page),
		};
	return scrub->hear(scrub->context, page, error, &home->fault);
}

/* Pages whose checksums stand in one block of their space, which lies in one piece. */
static int scrub_block(struct scrub *scrub, uint64_t first, uint64_t count)
{
	uint64_t sums[SUMS_PER_BLOCK];
	struct checkpoint *checkpoint = scrub->checkpoint;
	uint64_t place = region_sum_place(scrub->region, &checkpoint->anchor.sb, first);
	int error = place ? medium_read(checkpoint->home.medium, sums, count * sizeof(sums[0]), place)
			  : 0;

	if (error) {
		struct home_fault fault = {.file_offset = place};
		return scrub->hear(scrub->context, first, error, &fault);
	}
	for (uint64_t i = 0; !error && i < count; i++) {
		uint64_t key = region_key(scrub->region->id, first + i);
		if ((place && sums[i]) ||
		    annals_find(&checkpoint->annals, key, checkpoint->selected_seq) != ANNALS_NONE)
			error = scrub_page(scrub, first + i);
	}
	return error;
}

int checkpoint_scrub(struct checkpoint *checkpoint, uint32_t region_id, uint64_t first,
		     uint64_t count, checkpoint_hear *hear, void *context, uint64_t *ret_pages)
{
	struct scrub scrub = {
		.checkpoint = checkpoint,
		.region = roster_find(&checkpoint->roster, region_id),
		.hear = hear,
		.context = context,
	};
	uint64_t end = first + count;
	int error = 0;

	if (scrub.region && checkpoint->selected_epoch)
		end = end < scrub.region->page_count ? end : scrub.region->page_count;
	else
		end = first; /* nothing is kept */
	while (!error && first < end) {
		uint64_t index = scrub.region->home_offset / LAYOUT_BLOCK_BYTES + first;
		uint64_t run = SUMS_PER_BLOCK - index % SUMS_PER_BLOCK;
		run = run < end - first ? run : end - first;
		error = scrub_block(&scrub, first, run);
		first += run;
	}
	*ret_pages = scrub.pages;
	return error;
}
