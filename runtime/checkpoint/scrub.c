/*
 * The problem: what is damaged at rest is found by whoever needs it, years later. The trick: read
 * all of it now. A terabyte of hole has two gigabytes of checksums that are holes as well, so the
 * table is read in blocks and only pages that are something are looked at; of those that count as
 * zeros, because the table says nothing, the ones that are no hole. The guarantee: after it, every
 * page of the region has been compared with what was committed, or reported.
 */
#include "engine.h"
#include "sum.h"

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

/* ---- Pages that count as zeros ---- */

/* Until a writer has cleaned up there may be leftovers of a crash (bulk.h), and in the home of a
 * page that has entries in the log, what they say. */
static bool is_nothing(const struct scrub *scrub, uint64_t page, uint64_t sum)
{
	const struct checkpoint *checkpoint = scrub->checkpoint;

	return sum == 0 && !checkpoint->anchor.sb.bulk &&
	       annals_find(&checkpoint->annals, region_key(scrub->region->id, page),
			   ANNALS_NEWEST) == ANNALS_NONE;
}

static int scrub_nothing(struct scrub *scrub, uint64_t page, uint64_t place)
{
	char bytes[LAYOUT_BLOCK_BYTES] __attribute__((aligned(64)));
	uint64_t lines[LAYOUT_LINES];
	struct home *home = &scrub->checkpoint->home;
	int error = medium_read(home->medium, bytes, sizeof(bytes), place);

	if (!error)
		sum_lines(bytes, home->seed, lines);
	const uint64_t found = error ? 0 : sum_page(bytes, lines);
	if (!error && found == 0)
		return 0;
	home->fault = (struct home_fault){.file_offset = place, .found = found};
	return scrub->hear(scrub->context, page, error ? error : CHECKPOINT_E_DAMAGED, &home->fault);
}

/* The program maps home as it is: what is not nothing there would come back with it. */
static int scrub_nothings(struct scrub *scrub, uint64_t first, uint64_t count, const uint64_t *sums)
{
	const struct layout_superblock *sb = &scrub->checkpoint->anchor.sb;
	int error = 0;

	for (uint64_t i = 0; !error && i < count;) {
		uint64_t run;
		const uint64_t place = space_run(sb, scrub->region->home, scrub->region->home_offset +
						 (first + i) * LAYOUT_BLOCK_BYTES, &run);
		if (!place)
			return 0;
		const uint64_t left = (count - i) * LAYOUT_BLOCK_BYTES;
		const uint64_t run_end = place + (run < left ? run : left);
		uint64_t from = place, end = run_end;
		error = medium_find_data(scrub->checkpoint->home.medium, &from, &end);
		from &= ~(LAYOUT_BLOCK_BYTES - 1);
		end = from < end ? end : run_end;
		for (; !error && from < end; from += LAYOUT_BLOCK_BYTES) {
			const uint64_t at = i + (from - place) / LAYOUT_BLOCK_BYTES;
			if (is_nothing(scrub, first + at, sums[at]))
				error = scrub_nothing(scrub, first + at, from);
		}
		i += (end - place + LAYOUT_BLOCK_BYTES - 1) / LAYOUT_BLOCK_BYTES;
	}
	return error;
}

/* ---- All pages ---- */

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
	return error || !place ? error : scrub_nothings(scrub, first, count, sums);
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
