/*
 * The problem: a page of home is written in place, so a power cut leaves a mixture, and a disk may
 * give back other bytes than it got. The trick: a page that changes has a live entry in the log
 * until its write is synced, and the entry's checksum is of the whole page; a page at rest has its
 * checksum in a side table, which is written and synced together with it. The guarantee: no byte
 * of home is used without having been compared with what was committed.
 *
 * A checksum of 0 in the table means zeros, without looking: the table and home of a new pool are
 * holes, and bulk writes into pages that no epoch used may have been left behind by a crash.
 */
#include "home.h"

#include <errno.h>
#include <string.h>

#include "delta.h"
#include "sum.h"

static uint64_t place_of(const struct home *home, uint64_t key, bool is_sum)
{
	const struct region *region = roster_find(home->roster, region_id_of_key(key));
	const struct layout_superblock *sb = &home->anchor->sb;

	if (!region)
		return 0;
	return is_sum ? region_sum_place(region, sb, region_page_of_key(key))
		      : region_home_place(region, sb, region_page_of_key(key));
}

int home_sum(struct home *home, uint64_t key, uint64_t *ret_sum)
{
	uint64_t place = place_of(home, key, true);

	if (!place)
		return -ERANGE;
	const uint64_t *sum = medium_view(home->medium, sizeof(*ret_sum), place);
	if (!sum)
		return medium_read(home->medium, ret_sum, sizeof(*ret_sum), place);
	*ret_sum = *sum;
	return 0;
}

int home_read(struct home *home, uint64_t key, void *ret_page)
{
	uint64_t place = place_of(home, key, false);

	return place ? medium_read(home->medium, ret_page, LAYOUT_BLOCK_BYTES, place) : -ERANGE;
}

int home_look(struct home *home, uint64_t key, void *buffer, const void **ret_page)
{
	uint64_t place = place_of(home, key, false);

	if (!place)
		return -ERANGE;
	*ret_page = medium_view(home->medium, LAYOUT_BLOCK_BYTES, place);
	if (*ret_page)
		return 0;
	*ret_page = buffer;
	return medium_read(home->medium, buffer, LAYOUT_BLOCK_BYTES, place);
}

static int verify(struct home *home, uint64_t key, uint64_t expected, const void *page)
{
	const uint64_t found = sum_page(page);

	if (found == expected)
		return 0;
	home->fault = (struct home_fault){place_of(home, key, false), expected, found};
	return HOME_E_DAMAGED;
}

static int apply_lines(struct home *home, const struct index_entry *entry, void *page)
{
	char lines[LAYOUT_BLOCK_BYTES];
	int error = medium_read(home->medium, lines, delta_bytes(entry->mask),
				log_file_place(home->log, entry->lines));

	if (!error)
		delta_apply(page, entry->mask, lines);
	return error;
}

static int image_at_rest(struct home *home, uint64_t key, void *ret_page)
{
	uint64_t expected;
	int error = home_sum(home, key, &expected);

	if (!error && expected)
		error = home_read(home, key, ret_page);
	if (error)
		return error;
	if (expected)
		return verify(home, key, expected, ret_page);
	memset(ret_page, 0, LAYOUT_BLOCK_BYTES);
	return 0;
}

int home_image(struct home *home, uint64_t key, const struct index_entry *entry, void *ret_page)
{
	int error = 0;

	if (!entry)
		return image_at_rest(home, key, ret_page);
	if (entry->kind == LAYOUT_ENTRY_ZERO)
		memset(ret_page, 0, LAYOUT_BLOCK_BYTES);
	else
		error = home_read(home, key, ret_page);
	if (!error && entry->mask)
		error = apply_lines(home, entry, ret_page);
	return error ? error : verify(home, key, entry->sum, ret_page);
}

int home_draft(struct home *home, uint64_t key, const void *page)
{
	uint64_t place = place_of(home, key, false);

	if (!place)
		return -ERANGE;
	return page ? medium_write(home->medium, page, LAYOUT_BLOCK_BYTES, place)
		    : medium_punch(home->medium, place, LAYOUT_BLOCK_BYTES);
}

int home_write(struct home *home, const struct index_entry *entry, const void *page)
{
	uint64_t place = place_of(home, entry->key, false);
	uint64_t sum_place = place_of(home, entry->key, true);
	int error = 0;

	if (!place || !sum_place)
		return -ERANGE;
	if (entry->sum == 0)
		error = medium_punch(home->medium, place, LAYOUT_BLOCK_BYTES);
	else if (entry->kind != LAYOUT_ENTRY_HOME)
		error = medium_write(home->medium, page, LAYOUT_BLOCK_BYTES, place);
	if (!error)
		error = medium_write(home->medium, &entry->sum, sizeof(entry->sum), sum_place);
	return error;
}
