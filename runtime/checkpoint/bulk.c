/*
 * The problem: a first load of many GiB would pass through the log, to be merged at once. The
 * trick: a page that is zeros in every epoch that can be had (no entry behind the trim, checksum 0)
 * may have any bytes in home, for nobody looks: they are written there directly, synced, and the
 * record carries 24 bytes a page, saying that home is right. The guarantee: a record never names
 * bytes that are not on media, and never finds others than it named.
 *
 * Pages side by side are written together, 64 at most: a page alone takes as long as ten of them.
 *
 * The second half of the guarantee is less obvious. An append that failed may be found by a
 * recovery all the same, until another segment continues the chain in its place; so before home is
 * written to again, one does (log_settle()).
 *
 * Bytes that no record came to name stay behind: nobody sees them, but for those who map home as it
 * is. Before the first of them the superblocks say so, and the next writer makes zeros of them
 * before he maps anything.
 */
#include "bulk.h"

#include <errno.h>
#include <string.h>

#include "memory.h"

#define RUN_BYTES (BULK_RUN_PAGES * LAYOUT_BLOCK_BYTES)

int bulk_flag(struct anchor *anchor, uint32_t bulk)
{
	struct layout_superblock next = anchor->sb;

	if (next.bulk == bulk)
		return anchor_settle(anchor); /* the loss of one must not unsay it */
	next.bulk = bulk;
	return anchor_update(anchor, &next);
}

static int begin(struct bulk *bulk, struct home *home)
{
	/* What is left behind by a crash is found because of the flag. */
	int error = bulk_flag(home->anchor, 1);

	if (!error)
		error = log_settle(home->log);
	bulk->failures = home->medium->failures;
	return error;
}

void bulk_deinit(struct bulk *bulk)
{
	index_deinit(&bulk->drafts);
	memory_free(bulk->run_pages, bulk->run_pages ? RUN_BYTES : 0);
	bulk->run_pages = NULL;
	bulk->run_count = 0;
}

static int write_run(struct bulk *bulk, struct home *home)
{
	const unsigned count = bulk->run_count;

	bulk->run_count = 0;
	return count ? home_draft(home, bulk->run_key, count, bulk->run_pages) : 0;
}

static int add_to_run(struct bulk *bulk, struct home *home, uint64_t key, const void *bytes)
{
	int error = 0;

	if (bulk->run_count == BULK_RUN_PAGES || key != bulk->run_key + bulk->run_count ||
	    !home_run(home, bulk->run_key, bulk->run_count + 1))
		error = write_run(bulk, home);
	if (!bulk->run_pages)
		bulk->run_pages = memory_new(RUN_BYTES);
	if (error || !bulk->run_pages)
		return error ? error : -ENOMEM;
	if (!bulk->run_count)
		bulk->run_key = key;
	memcpy(bulk->run_pages[bulk->run_count++], bytes, LAYOUT_BLOCK_BYTES);
	return 0;
}

int bulk_write(struct bulk *bulk, struct home *home, uint64_t key, const void *bytes, uint64_t sum)
{
	const struct index_entry *known = index_find(&bulk->drafts, key);
	int error = 0;

	if (known ? known->value == sum : sum == 0)
		return 0;
	if (!bulk->drafts.count)
		error = begin(bulk, home);
	if (!error)
		error = index_put(&bulk->drafts, key, sum);
	if (error)
		return error;
	if (known && key - bulk->run_key < bulk->run_count) {
		memcpy(bulk->run_pages[key - bulk->run_key], bytes, LAYOUT_BLOCK_BYTES);
		return 0;
	}
	if (known)
		return home_draft(home, key, 1, sum ? bytes : NULL);
	return add_to_run(bulk, home, key, bytes);
}

int bulk_sync(struct bulk *bulk, struct home *home)
{
	struct medium *medium = home->medium;
	int error = write_run(bulk, home);

	if (!error) /* the record to come names these pages' checksums */
		error = medium_sync(medium);

	/* Somebody else's failed sync may have been told of our pages. */
	return error ? error : medium->failures != bulk->failures ? -EIO : 0;
}

void bulk_forget(struct bulk *bulk, bool is_durable, uint64_t epochs)
{
	if (!bulk->drafts.count)
		return;
	bulk->has_leftovers = bulk->has_leftovers || !is_durable;
	bulk->last_epochs = epochs;
	bulk_deinit(bulk);
}

int bulk_calm(struct bulk *bulk, struct anchor *anchor, uint64_t epochs, uint64_t calm_epochs)
{
	if (!anchor->sb.bulk || bulk->drafts.count || bulk->has_leftovers ||
	    epochs - bulk->last_epochs < calm_epochs)
		return 0;
	return bulk_flag(anchor, 0);
}

/* ---- Leftovers ---- */

struct cleaning {
	struct home *home;
	const struct region *region;
	uint64_t sums[LAYOUT_BLOCK_BYTES / sizeof(uint64_t)]; /* one block of the table */
	uint64_t sums_place;                                  /* where it stands; 0: none yet */
};

static int read_sum(struct cleaning *cleaning, uint64_t page, uint64_t *ret_sum)
{
	const uint64_t place = region_sum_place(cleaning->region, &cleaning->home->anchor->sb, page);
	const uint64_t block = place & ~(LAYOUT_BLOCK_BYTES - 1);
	int error = place ? 0 : -ERANGE;

	if (!error && block != cleaning->sums_place)
		error = medium_read(cleaning->home->medium, cleaning->sums, sizeof(cleaning->sums), block);
	cleaning->sums_place = error ? 0 : block;
	*ret_sum = cleaning->sums[(place - block) / sizeof(uint64_t)];
	return error;
}

/* The pages [from, end) lie in one piece of the file, which begins with page `from`. */
static int clean_piece(struct cleaning *cleaning, uint64_t from, uint64_t end, uint64_t place)
{
	uint64_t sum, run = 0; /* pages before this one, to be made zeros */
	int error = 0;

	for (uint64_t page = from; !error && page <= end; page++) {
		const bool is_kept = page == end ||
			annals_find(cleaning->home->annals, region_key(cleaning->region->id, page),
				    ANNALS_NEWEST) != ANNALS_NONE;
		error = is_kept ? 0 : read_sum(cleaning, page, &sum);
		if (!error && !is_kept && sum == 0) {
			run++;
			continue;
		}
		if (!error && run)
			error = medium_punch(cleaning->home->medium,
					     place + (page - run - from) * LAYOUT_BLOCK_BYTES,
					     run * LAYOUT_BLOCK_BYTES);
		run = 0;
	}
	return error;
}

static int clean_region(struct cleaning *cleaning)
{
	const struct region *region = cleaning->region;
	const struct layout_superblock *sb = &cleaning->home->anchor->sb;
	uint64_t page = 0, run;
	int error = 0;

	while (!error && page < region->page_count) {
		const uint64_t place = space_run(sb, region->home,
						 region->home_offset + page * LAYOUT_BLOCK_BYTES, &run);
		const uint64_t left = (region->page_count - page) * LAYOUT_BLOCK_BYTES;
		if (!place)
			return -ERANGE;
		uint64_t from = place, end = place + (run < left ? run : left);
		const uint64_t piece_end = end;
		error = medium_find_data(cleaning->home->medium, &from, &end);
		/* File systems have blocks of their own: whole pages of ours. */
		from = place + ((from - place) & ~(LAYOUT_BLOCK_BYTES - 1));
		end = place + ((end - place + LAYOUT_BLOCK_BYTES - 1) & ~(LAYOUT_BLOCK_BYTES - 1));
		end = end < piece_end ? end : piece_end;
		if (!error && from < end)
			error = clean_piece(cleaning, page + (from - place) / LAYOUT_BLOCK_BYTES,
					    page + (end - place) / LAYOUT_BLOCK_BYTES, from);
		page += (end - place) / LAYOUT_BLOCK_BYTES;
	}
	return error;
}

int bulk_clean(struct bulk *bulk, struct home *home)
{
	struct cleaning cleaning = {.home = home};
	int error = 0;

	for (uint32_t i = 0; !error && i < home->roster->count; i++) {
		cleaning.region = &home->roster->regions[i];
		cleaning.sums_place = 0;
		error = clean_region(&cleaning);
	}
	if (!error) /* the flag says that there is nothing left to clean */
		error = medium_sync(home->medium);
	if (!error)
		error = bulk_flag(home->anchor, 0);
	bulk->has_leftovers = bulk->has_leftovers && error;
	return error;
}
