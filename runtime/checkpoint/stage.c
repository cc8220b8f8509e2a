/*
 * The problem: a page must become as few bytes as will bring it back, quickly, and may be told of
 * more than once: as a draft before the cut, and again at the cut. The trick: the difference from
 * home, packed into one buffer; a full one goes to the log as a record that only a later one makes
 * count, and of several entries of a page the last holds. The guarantee: what was staged last is
 * what the epoch has, also if that is what the page was before.
 */
#include "stage.h"

#include <errno.h>
#include <string.h>

#include "delta.h"
#include "record.h"
#include "sum.h"

#define ENTRY_MAX_BYTES (sizeof(struct layout_entry) + LAYOUT_BLOCK_BYTES)

void stage_begin(struct checkpoint *checkpoint, uint64_t number)
{
	struct layout_record *record = (struct layout_record *)checkpoint->buffer;

	memset(record, 0, sizeof(*record));
	record->epoch = number;
}

bool stage_is_empty(const struct checkpoint *checkpoint)
{
	const struct layout_record *record = (const struct layout_record *)checkpoint->buffer;

	return !record->entry_count && !checkpoint->staged.count;
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

/* When the log has reached twice what was wanted, or the disk is full, home takes what it may;
 * held, or when that is not enough, the log grows. */
static int append(struct checkpoint *checkpoint, struct layout_record *record)
{
	struct log *log = &checkpoint->log;
	int error = log_append(log, record, false);

	if (error == LOG_E_FULL && log_live_bytes(log) >= 2 * checkpoint->plan.log_bytes)
		checkpoint_merge(checkpoint);
	if (error == LOG_E_FULL)
		error = log_append(log, record, true);
	if (error != -ENOSPC)
		return error;
	checkpoint_merge(checkpoint);
	error = log_append(log, record, false);
	return error == LOG_E_FULL ? -ENOSPC : error;
}

int stage_append(struct checkpoint *checkpoint, uint32_t flags)
{
	struct layout_record *record = (struct layout_record *)checkpoint->buffer;

	/* Room first: an epoch that is on media must not fail to be in the index. */
	int error = batch_reserve(&checkpoint->staged, record->entry_count);
	if (!error && flags & LAYOUT_RECORD_COMMIT)
		error = index_reserve(&checkpoint->live,
				      checkpoint->staged.count + record->entry_count);
	record->flags = flags;
	if (!error)
		error = append(checkpoint, record);
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
	error = home_look(&checkpoint->home, key, page, &ret_base->page);
	/* Verified before it is diffed against: a line that rotted would be left out of the mask if it
	 * rotted into what the program stored. */
	ret_base->is_damaged = !error && sum && sum_page(ret_base->page) != sum;
	return error;
}

/* Room in the buffer for one more entry, of whatever size. */
static int make_room(struct checkpoint *checkpoint)
{
	const struct layout_record *record = (const struct layout_record *)checkpoint->buffer;

	if (sizeof(*record) + record->entry_bytes + ENTRY_MAX_BYTES <= checkpoint->buffer_bytes)
		return 0;
	int error = stage_append(checkpoint, 0);
	if (!error)
		stage_begin(checkpoint, record->epoch);
	return error;
}

static int stage_entry(struct checkpoint *checkpoint, uint64_t key, struct delta delta,
		       uint64_t sum, const void *bytes)
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
	checkpoint->info.user_bytes += delta.kind == LAYOUT_ENTRY_HOME
					       ? LAYOUT_BLOCK_BYTES : delta_bytes(delta.changed);
	return 0;
}

static bool goes_home(const struct checkpoint *checkpoint)
{
	return checkpoint->hold != CHECKPOINT_STILL &&
	       checkpoint->fresh_count >= checkpoint->plan.bulk_pages;
}

/* An entry that says what home or the last epoch says, for a draft said otherwise. */
static struct delta delta_of_nothing(bool is_zero)
{
	return (struct delta){.kind = is_zero ? LAYOUT_ENTRY_ZERO : LAYOUT_ENTRY_HOME};
}

static int stage_changed(struct checkpoint *checkpoint, uint64_t key, const void *bytes,
			 uint64_t sum, bool is_again)
{
	char home_page[LAYOUT_BLOCK_BYTES] __attribute__((aligned(64)));
	const struct index_entry *live = index_find(&checkpoint->live, key);
	struct base base;
	int error = read_base(checkpoint, key, live, home_page, &base);

	if (error)
		return error;
	if (base.is_fresh && !is_again && goes_home(checkpoint))
		return bulk_write(&checkpoint->bulk, &checkpoint->home, key, bytes);
	struct delta delta = delta_of(bytes, base.page, live);
	if (base.is_damaged && delta.kind == LAYOUT_ENTRY_LINES) {
		delta.mask = UINT64_MAX;
		checkpoint->info.mended_pages++;
	}
	if (!live && !base.is_damaged && delta.mask == 0 && base.is_fresh == (sum == 0) && !is_again)
		return 0; /* as it is in home */
	if (delta.mask == 0)
		delta = delta_of_nothing(sum == 0);
	checkpoint->fresh_count += base.is_fresh;
	return stage_entry(checkpoint, key, delta, sum, bytes);
}

int stage_page(struct checkpoint *checkpoint, uint64_t key, const void *bytes)
{
	static const char zeros[LAYOUT_BLOCK_BYTES];
	const struct index_entry *live = index_find(&checkpoint->live, key);
	const struct index_entry *draft = index_find(&checkpoint->drafted, key);

	bytes = bytes ? bytes : zeros;
	if (bulk_has(&checkpoint->bulk, key))
		return bulk_write(&checkpoint->bulk, &checkpoint->home, key, bytes);
	const uint64_t sum = sum_page(bytes);
	const struct index_entry *last = draft ? draft : live;
	if (last && last->sum == sum)
		return 0; /* as it was last staged, or at the last epoch */
	int error = stage_changed(checkpoint, key, bytes, sum, draft != NULL);
	if (!error && checkpoint->is_drafting && !bulk_has(&checkpoint->bulk, key))
		error = index_put(&checkpoint->drafted, &(struct index_entry){.key = key, .sum = sum});
	return error;
}

/* What was written into home becomes part of the epoch. */
int stage_bulk(struct checkpoint *checkpoint)
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
