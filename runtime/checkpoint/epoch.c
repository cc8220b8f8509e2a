/*
 * Making an epoch.
 *
 * A commit stages entries page after page into one buffer. A full buffer is appended as a record
 * without the commit flag; the last one carries it, and from the moment that append is durable
 * the epoch is the one recovery returns to. Only then does the live index learn the new entries:
 * after a failure it still describes the last epoch, and the next commit works from there.
 *
 * Epoch numbers are given at the attempt, not at the success. A failed append may be on media all
 * the same; its number then stands for that cut and for no other.
 */
#include "engine.h"

#include <errno.h>
#include <string.h>

#include "check.h"
#include "delta.h"
#include "record.h"
#include "sum.h"

#define ENTRY_MAX_BYTES (sizeof(struct layout_entry) + LAYOUT_BLOCK_BYTES)

static struct layout_record *record_begin(struct checkpoint *checkpoint)
{
	struct layout_record *record = (struct layout_record *)checkpoint->buffer;

	memset(record, 0, sizeof(*record));
	record->epoch = checkpoint->attempt;
	return record;
}

/* Appends what is staged. When the log is full, home takes what it may; when that is not enough,
 * the log grows beyond what was wanted. */
static int record_end(struct checkpoint *checkpoint, uint32_t flags)
{
	struct layout_record *record = (struct layout_record *)checkpoint->buffer;

	/* Room first: an epoch that is on media must not fail to be in the index. */
	int error = index_reserve(&checkpoint->staged, record->entry_count);
	if (!error && flags & LAYOUT_RECORD_COMMIT)
		error = index_reserve(&checkpoint->live,
				      checkpoint->staged.count + record->entry_count);
	record->flags = flags;
	if (!error)
		error = log_append(&checkpoint->log, record, false);
	if (error == LOG_E_FULL) {
		checkpoint_merge(checkpoint);
		error = log_append(&checkpoint->log, record, true);
	}
	if (error)
		return error;
	checkpoint->info.record_bytes += record->len;
	return record_index(record, &checkpoint->staged);
}

/* Home's page for the diff. *ret_home is set to NULL where there is none. */
static int read_base(struct checkpoint *checkpoint, uint64_t key, const struct index_entry *live,
		     char *page, const void **ret_home, bool *ret_damaged)
{
	uint64_t sum = 0;
	int error = 0;

	*ret_home = NULL;
	*ret_damaged = false;
	if (live && live->kind == LAYOUT_ENTRY_ZERO)
		return 0;
	if (!live)
		error = home_sum(&checkpoint->home, key, &sum);
	if (error || (!live && sum == 0))
		return error;
	*ret_home = page;
	error = home_read(&checkpoint->home, key, page);
	/* Verified before it is diffed against: a line that rotted would be left out of the mask if it
	 * rotted into what the program stored. */
	*ret_damaged = !error && !live && sum_page(page) != sum;
	return error;
}

static int stage_page(struct checkpoint *checkpoint, uint64_t key, const void *bytes)
{
	static const char zeros[LAYOUT_BLOCK_BYTES];
	char home_page[LAYOUT_BLOCK_BYTES] __attribute__((aligned(64)));
	struct layout_record *record = (struct layout_record *)checkpoint->buffer;
	const struct index_entry *live = index_find(&checkpoint->live, key);
	struct layout_entry entry;
	const void *home;
	bool is_damaged;

	bytes = bytes ? bytes : zeros;
	entry.sum = sum_page(bytes);
	if (live && live->sum == entry.sum)
		return 0; /* as it was at the last epoch */
	int error = read_base(checkpoint, key, live, home_page, &home, &is_damaged);
	if (error)
		return error;
	struct delta delta = delta_of(bytes, home, live);
	if (!live && !is_damaged && delta.mask == 0 && (home == NULL) == (entry.sum == 0))
		return 0; /* as it is in home */
	if (is_damaged && delta.kind == LAYOUT_ENTRY_LINES) {
		delta.mask = UINT64_MAX;
		checkpoint->info.mended_pages++;
	}
	if (sizeof(*record) + record->entry_bytes + ENTRY_MAX_BYTES > checkpoint->buffer_bytes) {
		error = record_end(checkpoint, 0);
		if (error)
			return error;
		record_begin(checkpoint);
	}
	char *at = (char *)(record + 1) + record->entry_bytes;
	entry.key = key | (uint64_t)delta.kind << LAYOUT_ENTRY_KIND_SHIFT;
	entry.mask = delta.mask;
	memcpy(at, &entry, sizeof(entry));
	delta_pack(at + sizeof(entry), bytes, delta.mask);
	record->entry_bytes += sizeof(entry) + delta_bytes(delta.mask);
	record->entry_count++;
	checkpoint->info.pages++;
	return 0;
}

static void epoch_begin(struct checkpoint *checkpoint)
{
	CHECK(checkpoint->is_writer);
	checkpoint->attempt++;
	index_clear(&checkpoint->staged);
	record_begin(checkpoint);
}

static int epoch_end(struct checkpoint *checkpoint, int error, uint64_t *ret_epoch)
{
	const struct layout_record *record = (const struct layout_record *)checkpoint->buffer;
	const bool is_changed = record->entry_count || checkpoint->staged.count;

	if (!error && is_changed)
		error = record_end(checkpoint, LAYOUT_RECORD_COMMIT);
	checkpoint->info.error = error;
	if (error)
		return error;
	if (is_changed) {
		error = index_put_all(&checkpoint->live, &checkpoint->staged);
		checkpoint->epoch = checkpoint->attempt;
		checkpoint->selected_epoch = checkpoint->epoch;
		checkpoint->info.epochs++;
	}
	*ret_epoch = checkpoint->epoch;
	return error;
}

int checkpoint_commit(struct checkpoint *checkpoint, const struct checkpoint_page *pages,
		      size_t page_count, uint64_t *ret_epoch)
{
	int error = 0;

	epoch_begin(checkpoint);
	for (size_t i = 0; !error && i < page_count; i++)
		error = stage_page(checkpoint, region_key(pages[i].region, pages[i].index),
				   pages[i].bytes);
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
	int error = 0;

	epoch_begin(checkpoint);
	for (uint32_t i = 0; !error && i < roster->count; i++)
		if (roster->regions[i].address)
			error = stage_region(checkpoint, &roster->regions[i]);
	return epoch_end(checkpoint, error, ret_epoch);
}
