/*
 * The problem: whoever wants a process back wants all of its pages, a million perhaps, and one at a
 * time each costs a call for its checksum, one for itself, a fault where it shall be and a copy to
 * there: 5 us. The trick: pages that the log says nothing of follow one another in the file as they
 * do in memory. So the checksums of 512 are read at once, and pages in pieces that fit the cache,
 * straight to where they shall be, where memory has just been made for all of a piece. The
 * guarantee: as checkpoint_page() gives it, each of them has been compared with what was committed;
 * and what is zeros is not touched, so that a hole stays one.
 */
#include "engine.h"

#include <errno.h>
#include <string.h>

#include "os.h"

#define BLOCK_PAGES (LAYOUT_BLOCK_BYTES / sizeof(uint64_t))
#define PIECE_PAGES 64u

/* Pages whose checksums stand in one block of their space. */
struct block {
	uint64_t sums[BLOCK_PAGES]; /* that they must have; 0: zeros */
	uint64_t is_mixed[BLOCK_PAGES / 64]; /* a bit a page: home is not all there is of it */
};

static bool is_mixed(const struct block *block, uint64_t i)
{
	return block->is_mixed[i / 64] >> (i % 64) & 1;
}

/* An entry that names home alone says of it what the table does for the others. */
static int read_sums(struct checkpoint *checkpoint, uint64_t key, uint64_t count, struct block *ret)
{
	const struct annals *annals = &checkpoint->annals;
	int error = home_sums(&checkpoint->home, key, (unsigned)count, ret->sums);

	memset(ret->is_mixed, 0, sizeof(ret->is_mixed));
	for (uint64_t i = 0; !error && annals->pages.count && i < count; i++) {
		const uint64_t number = annals_find(annals, key + i, checkpoint->selected_seq);
		if (number == ANNALS_NONE)
			continue;
		const struct annals_entry *entry = annals_at(annals, number);
		ret->sums[i] = entry->sum;
		if (entry->kind != LAYOUT_ENTRY_HOME || entry->mask)
			ret->is_mixed[i / 64] |= UINT64_C(1) << (i % 64);
	}
	return error;
}

static uint64_t piece_at(const struct block *block, uint64_t first, uint64_t count)
{
	uint64_t end = first;

	while (end < count && end - first < PIECE_PAGES && block->sums[end] && !is_mixed(block, end))
		end++;
	return end - first;
}

static int read_block(struct checkpoint *checkpoint, uint64_t key, uint64_t count, char *ret_pages)
{
	uint64_t lines[LAYOUT_LINES];
	struct home *home = &checkpoint->home;
	struct block block;
	int error = read_sums(checkpoint, key, count, &block);

	for (uint64_t i = 0, pages; !error && i < count; i += pages) {
		char *const at = ret_pages + i * LAYOUT_BLOCK_BYTES;
		pages = piece_at(&block, i, count);
		if (pages) {
			os_populate(at, pages * LAYOUT_BLOCK_BYTES); /* or the read takes the faults */
			error = home_read(home, key + i, (unsigned)pages, &block.sums[i], at);
			continue;
		}
		pages = 1;
		if (block.sums[i])
			error = home_image(home, key + i, checkpoint->selected_seq, at, lines);
	}
	return error;
}

int checkpoint_pages(struct checkpoint *checkpoint, uint32_t region_id, uint64_t first,
		     uint64_t count, void *ret_pages)
{
	const struct region *region = roster_find(&checkpoint->roster, region_id);
	char *at = ret_pages;
	int error = 0;

	if (!checkpoint->selected_epoch) /* an emptied pool may still have its old checksums */
		return 0;
	if (!region || first > region->page_count || count > region->page_count - first)
		return -ERANGE;
	while (!error && count) {
		const uint64_t index = region->home_offset / LAYOUT_BLOCK_BYTES + first;
		uint64_t run = BLOCK_PAGES - index % BLOCK_PAGES;
		run = run < count ? run : count;
		error = read_block(checkpoint, region_key(region_id, first), run, at);
		at += run * LAYOUT_BLOCK_BYTES;
		first += run;
		count -= run;
	}
	return error;
}
