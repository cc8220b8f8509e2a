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

static int note_entries(struct checkpoint *checkpoint, const struct layout_record *record)
{
	struct batch *staged = &checkpoint->staged;
	uint64_t at = 0;
	int more;

	while ((more = record_next_entry(record, &at, &staged->entries[staged->count])) == 1)
		staged->count++;
	return more;
}

/* Appends what is staged. When the log is full, home takes what it may; when that is not enough,
 * the log grows beyond what was wanted. */
static int record_end(struct checkpoint *checkpoint, uint32_t flags)
{
	struct layout_record *record = (struct layout_record *)checkpoint->buffer;

	/* Room first: an epoch that is on media must not fail to be in the index. */
	int error = batch_reserve(&checkpoint->staged, record->entry_count);
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
	return note_entries(checkpoint, record);
}

/* Home's page for the diff. */
struct base {
	const void *page; /* NULL: none, zeros */
	bool is_fresh;    /* zeros in every epoch that can be had, and nobody looks at home */
	bool is_damaged;  /* not what was written */
};

static int read_base(struct checkpoint *checkpoint, uint64_t key, const struct index_entry *live,
		     char *page, struct base *ret_base)
{
	uint64_t sum = live && live->kind == LAYOUT_ENTRY_HOME ? live->sum : 0;
	int error = 0;

	*ret_base = (struct base){0};
	if (live && live->kind == LAYOUT_ENTRY_ZERO)
		return 0;
	if (!live)
		error = home_sum(&checkpoint->home, key, &sum);
	ret_base->is_fresh = !live && sum == 0;
	if (error || ret_base->is_fresh)
		return error;
	ret_base->page = page;
	error = home_read(&checkpoint->home, key, page);
	/* Verified before it is diffed against: a line that rotted would be left out of the mask if it
	 * rotted into what the program stored. */
	ret_base->is_damaged = !error && sum && sum_page(page) != sum;
	return error;
}

/* Room in the buffer for one more entry, of whatever size. */
static int make_room(struct checkpoint *checkpoint)
{
	const struct layout_record *record = (const struct layout_record *)checkpoint->buffer;

	if (sizeof(*record) + record->entry_bytes + ENTRY_MAX_BYTES <= checkpoint->buffer_bytes)
		return 0;
	int error = record_end(checkpoint, 0);
	if (!error)
		record_begin(checkpoint);
	return error;
}

static int stage_entry(struct checkpoint *checkpoint, uint64_t key, struct delta delta, uint64_t sum,
		       const void *bytes)
{
	struct layout_record *record = (struct layout_record *)checkpoint->buffer;
	const struct layout_entry entry = {
		.key = key | (uint64_t)delta.kind << LAYOUT_ENTRY_KIND_SHIFT,
		.mask = delta.mask,
		.sum = sum,
	};
	int error = make_room(checkpoint);

	if (error)
		return error;
	char *at = (char *)(record + 1) + record->entry_bytes;
	memcpy(at, &entry, sizeof(entry));
	delta_pack(at + sizeof(entry), bytes, delta.mask);
	record->entry_bytes += sizeof(entry) + delta_bytes(delta.mask);
	record->entry_count++;
	checkpoint->info.pages++;
	return 0;
}

static bool goes_home(const struct checkpoint *checkpoint)
{
	return checkpoint->hold != CHECKPOINT_STILL &&
	       checkpoint->fresh_count >= checkpoint->plan.bulk_pages;
}

static int stage_page(struct checkpoint *checkpoint, uint64_t key, const void *bytes)
{
	static const char zeros[LAYOUT_BLOCK_BYTES];
	char home_page[LAYOUT_BLOCK_BYTES] __attribute__((aligned(64)));
	const struct index_entry *live = index_find(&checkpoint->live, key);
	struct base base;

	bytes = bytes ? bytes : zeros;
	if (bulk_has(&checkpoint->bulk, key))
		return bulk_write(&checkpoint->bulk, &checkpoint->home, key, bytes);
	const uint64_t sum = sum_page(bytes);
	if (live && live->sum == sum)
		return 0; /* as it was at the last epoch */
	int error = read_base(checkpoint, key, live, home_page, &base);
	if (error)
		return error;
	if (base.is_fresh && goes_home(checkpoint))
		return bulk_write(&checkpoint->bulk, &checkpoint->home, key, bytes);
	struct delta delta = delta_of(bytes, base.page, live);
	if (!live && !base.is_damaged && delta.mask == 0 && base.is_fresh == (sum == 0))
		return 0; /* as it is in home */
	checkpoint->fresh_count += base.is_fresh;
	if (base.is_damaged && delta.kind == LAYOUT_ENTRY_LINES) {
		delta.mask = UINT64_MAX;
		checkpoint->info.mended_pages++;
	}
	return stage_entry(checkpoint, key, delta, sum, bytes);
}

/* What was written into home becomes part of the epoch. */
static int stage_drafts(struct checkpoint *checkpoint)
{
	const struct index *drafts = &checkpoint->bulk.drafts;
	const struct delta delta = {.kind = LAYOUT_ENTRY_HOME};
	int error = drafts->count ? bulk_sync(&checkpoint->bulk, checkpoint->anchor.medium) : 0;

	for (size_t i = 0; !error && drafts->count && i < drafts->capacity; i++) {
		const struct index_entry *draft = &drafts->entries[i];
		if (draft->key && draft->sum) /* zeros again: nothing has changed */
			error = stage_entry(checkpoint, draft->key, delta, draft->sum, NULL);
	}
	return error;
}

int checkpoint_draft(struct checkpoint *checkpoint, const struct checkpoint_page *page)
{
	static const char zeros[LAYOUT_BLOCK_BYTES];
	const uint64_t key = region_key(page->region, page->index);
	char copy[LAYOUT_BLOCK_BYTES] __attribute__((aligned(64)));
	uint64_t sum = 0;
	int error = 0;

	CHECK(checkpoint->is_writer);
	if (checkpoint->hold == CHECKPOINT_STILL || index_find(&checkpoint->live, key))
		return CHECKPOINT_E_STAGE;
	if (!bulk_has(&checkpoint->bulk, key))
		error = home_sum(&checkpoint->home, key, &sum);
	if (error || sum)
		return error ? error : CHECKPOINT_E_STAGE;
	/* Stores go on: what is summed and what is written must be the same. */
	memcpy(copy, page->bytes ? page->bytes : zeros, sizeof(copy));
	return bulk_write(&checkpoint->bulk, &checkpoint->home, key, copy);
}

static void epoch_begin(struct checkpoint *checkpoint)
{
	CHECK(checkpoint->is_writer);
	checkpoint->attempt++;
	checkpoint->staged.count = 0;
	checkpoint->fresh_count = 0;
	record_begin(checkpoint);
}

static int epoch_end(struct checkpoint *checkpoint, int error, uint64_t *ret_epoch)
{
	const struct layout_record *record = (const struct layout_record *)checkpoint->buffer;

	if (!error)
		error = stage_drafts(checkpoint);
	const bool is_changed = record->entry_count || checkpoint->staged.count;
	if (!error && is_changed)
		error = record_end(checkpoint, LAYOUT_RECORD_COMMIT);
	bulk_forget(&checkpoint->bulk, !error);
	checkpoint->info.error = error;
	if (error)
		return error;
	if (is_changed) {
		for (size_t i = 0; !error && i < checkpoint->staged.count; i++)
			error = index_put(&checkpoint->live, &checkpoint->staged.entries[i]);
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
