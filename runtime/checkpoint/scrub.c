/*
 * The problem: what is damaged at rest is found by whoever needs it, years later. The trick: read
 * all of it now. A terabyte of hole has two gigabytes of checksums that are holes as well, so the
 * table is read in blocks and only pages that are something are looked at, in long runs and past
 * the page cache; of those that count as zeros, because the table says nothing, the ones that are
 * no hole. The guarantee: after it, every page of the region has been compared with what was
 * committed, or reported.
 */
#include "scrub.h"

#include <errno.h>

#include "memory.h"
#include "sum.h"

#define SUMS_PER_BLOCK (LAYOUT_BLOCK_BYTES / sizeof(uint64_t))
#define BUFFER_BYTES (SCRUB_PIECE_PAGES * LAYOUT_BLOCK_BYTES)

/* ---- Pages that the log tells of ---- */

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

/* ---- Pages at rest ---- */

static int verify(struct scrub *scrub, uint64_t page, uint64_t place, uint64_t expected,
		  const char *bytes)
{
	uint64_t lines[LAYOUT_LINES];

	sum_lines(bytes, scrub->checkpoint->home.seed, lines);
	const struct home_fault fault = {place, expected, sum_page(bytes, lines)};
	return fault.found == expected ? 0 : scrub->hear(scrub->context, page, CHECKPOINT_E_DAMAGED,
							 &fault);
}

static int verify_alone(struct scrub *scrub, uint64_t page, uint64_t place, uint64_t expected)
{
	const struct home_fault fault = {.file_offset = place, .expected = expected};
	const int error = medium_fetch(scrub->checkpoint->home.medium, scrub->buffer,
				       LAYOUT_BLOCK_BYTES, place);

	return error ? scrub->hear(scrub->context, page, error, &fault)
		     : verify(scrub, page, place, expected, scrub->buffer);
}

static bool has_entry(const struct scrub *scrub, uint64_t page)
{
	return annals_find(&scrub->checkpoint->annals, region_key(scrub->region->id, page),
			   scrub->seq) != ANNALS_NONE;
}

static int scrub_covered(struct scrub *scrub, uint64_t page)
{
	return scrub->is_at_rest_only || !has_entry(scrub, page) ? 0 : scrub_page(scrub, page);
}

/* Of these pages, which lie in one piece, those that are at rest and not zeros; and the others, if
 * the log tells of them. What cannot be read is read page by page: most of it can. */
static int scrub_piece(struct scrub *scrub, uint64_t first, uint64_t count, uint64_t place,
		       const uint64_t *sums)
{
	const bool is_read = medium_fetch(scrub->checkpoint->home.medium, scrub->buffer,
					  count * LAYOUT_BLOCK_BYTES, place) == 0;
	int error = 0;

	scrub->read += count;
	for (uint64_t i = 0; !error && i < count; i++) {
		const uint64_t at = i * LAYOUT_BLOCK_BYTES;
		if (!sums[i] || has_entry(scrub, first + i)) {
			error = scrub_covered(scrub, first + i);
			continue;
		}
		scrub->pages++;
		error = is_read ? verify(scrub, first + i, place + at, sums[i], scrub->buffer + at)
				: verify_alone(scrub, first + i, place + at, sums[i]);
	}
	return error;
}

static int scrub_rest(struct scrub *scrub, uint64_t first, uint64_t count, const uint64_t *sums)
{
	const struct region *region = scrub->region;
	int error = 0;

	for (uint64_t i = 0, pages; !error && i < count; i += pages) {
		uint64_t run;
		const uint64_t place = space_run(&scrub->checkpoint->anchor.sb, region->home,
						 region->home_offset + (first + i) * LAYOUT_BLOCK_BYTES,
						 &run);
		if (!place)
			return -ERANGE;
		pages = run / LAYOUT_BLOCK_BYTES < count - i ? run / LAYOUT_BLOCK_BYTES : count - i;
		error = scrub_piece(scrub, first + i, pages, place, &sums[i]);
	}
	return error;
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

	scrub->pages++;
	scrub->read++;
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

/* From one page on: as many as one read is worth, the first and the last of which are at rest, and
 * not zeros. One read takes as long as a few, so pages between are read with them. */
static uint64_t rest_at(const struct scrub *scrub, uint64_t first, uint64_t count,
			const uint64_t *sums)
{
	uint64_t end = 0;

	for (uint64_t i = 0; i < count && i < SCRUB_PIECE_PAGES; i++) {
		if (sums[i] && !has_entry(scrub, first + i))
			end = i + 1;
		if (!end)
			break;
	}
	return end;
}

static int scrub_somethings(struct scrub *scrub, uint64_t first, uint64_t count,
			    const uint64_t *sums, uint64_t *ret_done)
{
	uint64_t done = 0;
	int error = 0;

	for (uint64_t pages; !error && done < count && scrub->read < scrub->read_most; done += pages) {
		pages = rest_at(scrub, first + done, count - done, &sums[done]);
		if (pages) {
			error = scrub_rest(scrub, first + done, pages, &sums[done]);
		} else {
			pages = 1;
			error = scrub_covered(scrub, first + done);
		}
	}
	*ret_done = done;
	return error;
}

uint64_t scrub_block_end(const struct region *region, uint64_t first)
{
	const uint64_t index = region->home_offset / LAYOUT_BLOCK_BYTES + first;
	const uint64_t end = first + SUMS_PER_BLOCK - index % SUMS_PER_BLOCK;

	return end < region->page_count ? end : region->page_count;
}

/* Their space lies in one piece as far as one block of it goes. */
int scrub_block(struct scrub *scrub, uint64_t first, uint64_t count, uint64_t *ret_done)
{
	uint64_t sums[SUMS_PER_BLOCK] = {0};
	struct checkpoint *checkpoint = scrub->checkpoint;
	uint64_t place = region_sum_place(scrub->region, &checkpoint->anchor.sb, first);
	int error = place ? medium_read(checkpoint->home.medium, sums, count * sizeof(sums[0]), place)
			  : 0;

	if (error) {
		struct home_fault fault = {.file_offset = place};
		*ret_done = count;
		return scrub->hear(scrub->context, first, error, &fault);
	}
	error = scrub_somethings(scrub, first, count, sums, ret_done);
	return error || !place ? error : scrub_nothings(scrub, first, *ret_done, sums);
}

int checkpoint_scrub(struct checkpoint *checkpoint, uint32_t region_id, uint64_t first,
		     uint64_t count, checkpoint_hear *hear, void *context, uint64_t *ret_pages)
{
	struct scrub scrub = {
		.checkpoint = checkpoint,
		.region = roster_find(&checkpoint->roster, region_id),
		.seq = checkpoint->selected_seq,
		.hear = hear,
		.context = context,
		.read_most = UINT64_MAX,
	};
	uint64_t end = first + count, done;
	int error = 0;

	*ret_pages = 0;
	if (!scrub.region || !checkpoint->selected_epoch)
		return 0; /* nothing is kept */
	scrub.buffer = memory_new(BUFFER_BYTES);
	if (!scrub.buffer)
		return -ENOMEM;
	end = end < scrub.region->page_count ? end : scrub.region->page_count;
	for (; !error && first < end; first += done) {
		const uint64_t next = scrub_block_end(scrub.region, first);
		error = scrub_block(&scrub, first, (next < end ? next : end) - first, &done);
	}
	memory_free(scrub.buffer, BUFFER_BYTES);
	*ret_pages = scrub.pages;
	return error;
}
