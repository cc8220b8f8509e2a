/*
 * The problem: a page of home is written in place, so a power cut leaves a mixture, and a disk may
 * give back other bytes than it got. The trick: a page that changes has entries in the log until
 * its write is synced, which name all lines that a mixture could get wrong, and the newest has the
 * checksum of the whole page; a page at rest has its checksum in a side table, which is written and
 * synced together with it. The guarantee: no byte of home is used without having been compared
 * with what was committed.
 *
 * A checksum of 0 in the table means zeros, without looking: the table and home of a new pool are
 * holes, and bulk writes into pages that no epoch used may have been left behind by a crash.
 */
#include "home.h"

#include <errno.h>
#include <string.h>

#include "delta.h"
#include "sum.h"

void home_open(struct home *ret_home, struct anchor *anchor, struct log *log,
	       const struct annals *annals, const struct roster *roster)
{
	static const char zeros[LAYOUT_BLOCK_BYTES];

	*ret_home = (struct home){
		.anchor = anchor,
		.log = log,
		.annals = annals,
		.medium = anchor->medium,
		.roster = roster,
		.seed = sum_seed(anchor->sb.uuid, 0, LAYOUT_LINES),
	};
	sum_lines(zeros, ret_home->seed, ret_home->zero_lines);
	sumblock_forget(&ret_home->sumblock);
}

void home_attach(struct home *home)
{
	uint64_t file_bytes;

	home_close(home);
	if (medium_size(home->medium, &file_bytes) == 0)
		pageset_open(&home->sums_read, file_bytes / LAYOUT_BLOCK_BYTES);
}

void home_close(struct home *home)
{
	pageset_close(&home->sums_read);
}

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
	const uint64_t block = place / LAYOUT_BLOCK_BYTES;
	struct pageset *read = &home->sums_read;
	const bool is_known = read->words && block < read->page_count;
	const uint64_t *sum = is_known && pageset_has(read, block)
				      ? medium_view(home->medium, sizeof(*ret_sum), place) : NULL;
	if (sum) {
		*ret_sum = *sum;
		return 0;
	}
	const int error = medium_read(home->medium, ret_sum, sizeof(*ret_sum), place);
	if (error)
		home->fault = (struct home_fault){.file_offset = place};
	else if (is_known)
		pageset_add(read, block, 1);
	return error;
}

int home_sums(struct home *home, uint64_t key, unsigned count, uint64_t *ret_sums)
{
	const uint64_t place = place_of(home, key, true);

	return place ? medium_read(home->medium, ret_sums, count * sizeof(*ret_sums), place) : -ERANGE;
}

/* Bytes of the file: where they are, or in `buffer`. */
static int look(struct home *home, uint64_t place, size_t len, bool is_viewed, void *buffer,
		const void **ret_bytes)
{
	if (!place)
		return -ERANGE;
	*ret_bytes = is_viewed ? medium_view(home->medium, len, place) : NULL;
	if (*ret_bytes)
		return 0;
	*ret_bytes = buffer;
	return medium_read(home->medium, buffer, len, place);
}

/* ---- Reading ---- */

static int verify(struct home *home, uint64_t key, uint64_t expected, const void *page,
		  uint64_t ret_lines[LAYOUT_LINES])
{
	sum_lines(page, home->seed, ret_lines);
	const uint64_t found = sum_page(page, ret_lines);

	if (found == expected)
		return 0;
	home->fault = (struct home_fault){place_of(home, key, false), expected, found};
	home->fault_key = key;
	return HOME_E_DAMAGED;
}

static int apply_lines(struct home *home, const struct annals_entry *entry, uint64_t wanted,
		       void *page)
{
	char buffer[LAYOUT_BLOCK_BYTES];
	const void *lines;

	if (!(entry->mask & wanted))
		return 0;
	int error = look(home, log_file_place(home->log, entry->lines), delta_bytes(entry->mask),
			 home->is_log_viewed, buffer, &lines);
	if (!error)
		delta_apply(page, entry->mask, wanted, lines);
	return error;
}

/* From this entry of a page back to the oldest that counts: lines that none names are... */
enum rest { REST_NONE, REST_ZEROS, REST_HOME };

static enum rest rest_of(const struct home *home, uint64_t number)
{
	uint64_t left = UINT64_MAX;

	for (; number != ANNALS_NONE; number = annals_before(home->annals, number)) {
		const struct annals_entry *entry = annals_at(home->annals, number);
		left &= ~entry->mask;
		if (!left)
			return REST_NONE;
		if (entry->kind != LAYOUT_ENTRY_LINES)
			return entry->kind == LAYOUT_ENTRY_ZERO ? REST_ZEROS : REST_HOME;
	}
	return REST_HOME;
}

/* Newest first, so that of each line only the last value is read. */
static int apply_entries(struct home *home, uint64_t number, void *page)
{
	uint64_t left = UINT64_MAX;
	int error = 0;

	for (; !error && left && number != ANNALS_NONE; number = annals_before(home->annals, number)) {
		const struct annals_entry *entry = annals_at(home->annals, number);
		error = apply_lines(home, entry, left, page);
		left &= ~entry->mask;
		if (entry->kind != LAYOUT_ENTRY_LINES)
			break;
	}
	return error;
}

/* Home's page as it is. */
static int read_page(struct home *home, uint64_t key, void *ret_page)
{
	const void *page;
	int error = look(home, place_of(home, key, false), LAYOUT_BLOCK_BYTES, home->is_viewed, ret_page,
			 &page);

	if (!error && page != ret_page)
		memcpy(ret_page, page, LAYOUT_BLOCK_BYTES);
	return error;
}

static int image_at_rest(struct home *home, uint64_t key, void *ret_page,
			 uint64_t ret_lines[LAYOUT_LINES])
{
	uint64_t expected;
	int error = home_sum(home, key, &expected);

	if (!error && expected)
		error = read_page(home, key, ret_page);
	if (error)
		return error;
	if (expected)
		return verify(home, key, expected, ret_page, ret_lines);
	memset(ret_page, 0, LAYOUT_BLOCK_BYTES);
	memcpy(ret_lines, home->zero_lines, sizeof(home->zero_lines));
	return 0;
}

static void note_unreadable(struct home *home, uint64_t key, uint64_t number)
{
	uint64_t expected = 0;

	if (number != ANNALS_NONE)
		expected = annals_at(home->annals, number)->sum;
	else
		home_sum(home, key, &expected);
	home->fault = (struct home_fault){place_of(home, key, false), expected, 0};
	home->fault_key = key;
}

static int image_of_entries(struct home *home, uint64_t key, uint64_t number, void *ret_page,
			    uint64_t ret_lines[LAYOUT_LINES])
{
	const enum rest rest = rest_of(home, number);
	int error = 0;

	if (rest == REST_HOME)
		error = read_page(home, key, ret_page);
	else if (rest == REST_ZEROS)
		memset(ret_page, 0, LAYOUT_BLOCK_BYTES);
	if (!error)
		error = apply_entries(home, number, ret_page);
	return error ? error : verify(home, key, annals_at(home->annals, number)->sum, ret_page,
				      ret_lines);
}

int home_image(struct home *home, uint64_t key, uint64_t seq, void *ret_page,
	       uint64_t ret_lines[LAYOUT_LINES])
{
	const uint64_t number = annals_find(home->annals, key, seq);
	const int error = number == ANNALS_NONE
				  ? image_at_rest(home, key, ret_page, ret_lines)
				  : image_of_entries(home, key, number, ret_page, ret_lines);

	if (error == -EIO)
		note_unreadable(home, key, number);
	return error;
}

/* Are the homes of these pages in one piece? */
static bool is_one_piece(const struct home *home, uint64_t key, unsigned count)
{
	return place_of(home, key + count - 1, false) - place_of(home, key, false) ==
	       (count - 1) * (uint64_t)LAYOUT_BLOCK_BYTES;
}

static int read_piece(struct home *home, uint64_t key, unsigned count, const uint64_t *sums,
		      char *ret_pages)
{
	uint64_t lines[LAYOUT_LINES];
	const uint64_t place = place_of(home, key, false);
	int error = -ERANGE;

	if (place)
		error = medium_read(home->medium, ret_pages, (size_t)count * LAYOUT_BLOCK_BYTES, place);
	for (unsigned i = 0; !error && i < count; i++)
		error = verify(home, key + i, sums[i], ret_pages + i * LAYOUT_BLOCK_BYTES, lines);
	return error;
}

int home_read(struct home *home, uint64_t key, unsigned count, const uint64_t *sums,
	      void *ret_pages)
{
	char *at = ret_pages;
	int error = 0;

	for (unsigned i = 0, piece; !error && i < count; i += piece) {
		piece = is_one_piece(home, key + i, count - i) ? count - i : 1;
		error = read_piece(home, key + i, piece, sums + i, at + i * LAYOUT_BLOCK_BYTES);
	}
	return error;
}

/* ---- Writing ---- */

int home_draft(struct home *home, uint64_t key, unsigned count, const void *pages)
{
	uint64_t place = place_of(home, key, false);

	if (!place)
		return -ERANGE;
	return pages ? medium_write(home->medium, pages, count * LAYOUT_BLOCK_BYTES, place)
		     : medium_punch(home->medium, place, count * LAYOUT_BLOCK_BYTES);
}

bool home_run(const struct home *home, uint64_t key, unsigned count)
{
	const uint64_t last = key + count - 1;

	return region_id_of_key(key) == region_id_of_key(last) &&
	       is_one_piece(home, key, count) &&
	       place_of(home, last, true) - place_of(home, key, true) ==
		       (count - 1) * sizeof(uint64_t);
}

int home_write(struct home *home, uint64_t key, unsigned count, const void *pages,
	       const uint64_t *sums)
{
	uint64_t place = place_of(home, key, false);
	uint64_t sum_place = place_of(home, key, true);
	int error = 0;

	if (!place || !sum_place)
		return -ERANGE;
	if (pages)
		error = medium_write(home->medium, pages, count * LAYOUT_BLOCK_BYTES, place);
	else if (sums[0] == 0)
		error = medium_punch(home->medium, place, count * LAYOUT_BLOCK_BYTES);
	if (!error)
		error = sumblock_put(&home->sumblock, home->medium, sum_place, count, sums);
	return error;
}

int home_settle(struct home *home)
{
	return sumblock_flush(&home->sumblock, home->medium);
}

void home_abandon(struct home *home)
{
	sumblock_forget(&home->sumblock);
}
