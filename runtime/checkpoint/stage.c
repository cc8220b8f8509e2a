/*
 * The problem: a page must become as few bytes as will bring it back, quickly, and may be told of
 * more than once: as a draft before the cut, and again at the cut. The trick: of a page lately
 * written the sums of its lines are known as it was last staged; the lines whose sums differ are
 * what it costs, and neither home nor the log is read for it. They are packed into one buffer; a
 * full one goes to the log as a record that only a later one makes count. The guarantee: all
 * entries of a page, one over the other, are the page as it was staged last.
 *
 * A line that is again what it was some epochs ago differs from what it was last, so it is named:
 * home, which may have received either, does not matter.
 */
#include "stage.h"

#include <errno.h>
#include <string.h>

#include "delta.h"
#include "record.h"
#include "sum.h"

#define ENTRY_MAX_BYTES (sizeof(struct layout_entry) + LAYOUT_BLOCK_BYTES)

/* A page as it shall be. */
struct told_page {
	uint64_t key;
	const char *bytes;
	uint64_t sum;
	uint64_t lines[LAYOUT_LINES];
};

/* What it was last. */
struct base {
	const uint64_t *lines; /* NULL: damaged, nobody knows */
	bool is_zero;
	bool is_fresh;         /* zeros in every epoch that can be had, and nobody looks at home */
	bool is_unread;        /* nobody has seen any of it */
	uint64_t room[LAYOUT_LINES];
};

void stage_begin(struct checkpoint *checkpoint, uint64_t number)
{
	struct layout_record *record = (struct layout_record *)checkpoint->buffer;

	memset(record, 0, sizeof(*record));
	record->epoch = number;
}

/* When the log has reached twice what was wanted, or the disk is full, home takes what it may;
 * held, what was carried is given up; when that is not enough, the log grows. */
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

	record->flags = flags;
	int error = append(checkpoint, record);
	if (error)
		return error;
	checkpoint->info.record_bytes += record->len;
	annals_settle(&checkpoint->annals, record->seq, record->offset);
	return 0;
}

/* No room in the buffer for one more entry, of whatever size? */
bool stage_is_full(const struct checkpoint *checkpoint)
{
	const struct layout_record *record = (const struct layout_record *)checkpoint->buffer;

	return sizeof(*record) + record->entry_bytes + ENTRY_MAX_BYTES > checkpoint->buffer_bytes;
}

void stage_drop(struct checkpoint *checkpoint)
{
	const struct layout_record *record = (const struct layout_record *)checkpoint->buffer;

	annals_drop(&checkpoint->annals);
	stage_begin(checkpoint, record->epoch);
}

static int make_room(struct checkpoint *checkpoint)
{
	const struct layout_record *record = (const struct layout_record *)checkpoint->buffer;

	if (!stage_is_full(checkpoint))
		return 0;
	int error = stage_append(checkpoint, 0);
	if (!error)
		stage_begin(checkpoint, record->epoch);
	return error;
}

int stage_entry(struct checkpoint *checkpoint, const struct annals_entry *entry, const void *bytes)
{
	struct layout_record *record = (struct layout_record *)checkpoint->buffer;
	const struct layout_entry on_media = {
		.key = entry->key | (uint64_t)entry->kind << LAYOUT_ENTRY_KIND_SHIFT,
		.mask = entry->mask,
		.sum = entry->sum,
	};
	struct annals_entry placed = *entry;
	int error = make_room(checkpoint);

	placed.lines = sizeof(*record) + record->entry_bytes + sizeof(on_media);
	if (!error)
		error = annals_push(&checkpoint->annals, &placed);
	if (error)
		return error;
	char *at = (char *)(record + 1) + record->entry_bytes;
	memcpy(at, &on_media, sizeof(on_media));
	delta_pack(at + sizeof(on_media), bytes, entry->mask);
	record->entry_bytes += sizeof(on_media) + delta_bytes(entry->mask);
	record->entry_count++;
	return 0;
}

/* One that the program has changed. */
static int stage_change(struct checkpoint *checkpoint, const struct annals_entry *entry,
			const void *bytes)
{
	const int error = stage_entry(checkpoint, entry, bytes);

	if (error)
		return error;
	checkpoint->info.pages++;
	checkpoint->info.user_bytes += entry->kind == LAYOUT_ENTRY_HOME ? LAYOUT_BLOCK_BYTES
									: delta_bytes(entry->mask);
	return 0;
}

/* ---- What has changed ---- */

/* From home, and what the log has of it. Verified before it is diffed against: a line that rotted
 * would be left out if it rotted into what the program stored. */
static int read_image(struct checkpoint *checkpoint, uint64_t key, uint64_t last,
		      struct base *ret_base)
{
	char page[LAYOUT_BLOCK_BYTES] __attribute__((aligned(64)));

	checkpoint->home.is_viewed = true;
	const int error = home_image(&checkpoint->home, key, ANNALS_NEWEST, page, ret_base->room);
	checkpoint->home.is_viewed = false;
	ret_base->lines = error ? NULL : ret_base->room;
	ret_base->is_unread = error == -EIO;
	if (error != HOME_E_DAMAGED && error != -EIO)
		return error;
	damage_note(&checkpoint->damage, key, last, error == -EIO ? error : 0,
		    &checkpoint->home.fault);
	return 0;
}

/* Its checksum cannot be read: it may be anything. */
static int know_nothing(struct checkpoint *checkpoint, uint64_t key, struct base *ret_base)
{
	*ret_base = (struct base){.is_unread = true};
	damage_note(&checkpoint->damage, key, ANNALS_NONE, -EIO, &checkpoint->home.fault);
	return 0;
}

static int read_base(struct checkpoint *checkpoint, uint64_t key, uint64_t last,
		     struct base *ret_base)
{
	const bool is_lost = damage_find(&checkpoint->damage, key, last);
	uint64_t sum;
	int error = 0;

	if (last == ANNALS_NONE)
		error = home_sum(&checkpoint->home, key, &sum);
	else
		sum = annals_at(&checkpoint->annals, last)->sum;
	if (error)
		return error == -EIO ? know_nothing(checkpoint, key, ret_base) : error;
	ret_base->is_unread = false;
	ret_base->is_zero = sum == 0;
	ret_base->is_fresh = sum == 0 && last == ANNALS_NONE;
	ret_base->lines = last == ANNALS_NONE ? NULL : annals_sums(&checkpoint->annals, last);
	if (ret_base->is_zero)
		ret_base->lines = checkpoint->home.zero_lines;
	else if (is_lost)
		ret_base->lines = NULL;
	if (ret_base->lines || is_lost)
		return 0; /* what home has is not worth a look, and may not bear one */
	return read_image(checkpoint, key, last, ret_base);
}

/* The base is not known. Whoever shows home as it is has been shown this, and it must not become
 * what was committed. If there was no room to remember it, it was met a moment ago. */
static bool is_damage(const struct checkpoint *checkpoint, const struct told_page *page,
		      uint64_t last, const struct base *base)
{
	const struct damaged_page *damaged = damage_find(&checkpoint->damage, page->key, last);

	if (damaged)
		return !damaged->error && damaged->fault.found == page->sum;
	return !base->is_unread && checkpoint->home.fault.found == page->sum;
}

/* The entry that makes of the base this page; mask 0: none is needed, or zeros. */
static struct annals_entry entry_of(const struct told_page *page, const struct base *base)
{
	struct annals_entry entry = {.key = page->key, .sum = page->sum, .kind = LAYOUT_ENTRY_LINES};

	if (base->is_zero || page->sum == 0)
		entry.kind = LAYOUT_ENTRY_ZERO;
	if (page->sum && base->lines)
		entry.mask = delta_mask(page->lines, base->lines);
	else if (page->sum)
		entry.mask = UINT64_MAX;
	return entry;
}

static bool goes_home(const struct checkpoint *checkpoint)
{
	return !(checkpoint->hold & CHECKPOINT_STILL) &&
	       checkpoint->fresh_count >= checkpoint->plan.bulk_pages;
}

static int stage_changed(struct checkpoint *checkpoint, const struct told_page *page, uint64_t last)
{
	struct base base;
	int error = read_base(checkpoint, page->key, last, &base);

	if (error)
		return error;
	if (base.is_fresh && goes_home(checkpoint))
		return bulk_write(&checkpoint->bulk, &checkpoint->home, page->key, page->bytes,
				  page->sum);
	if (!base.lines && is_damage(checkpoint, page, last, &base))
		return 0;
	const struct annals_entry entry = entry_of(page, &base);
	if (entry.mask == 0 && (page->sum || base.is_zero))
		return 0; /* as it is in home */
	checkpoint->info.mended_pages += !base.lines;
	checkpoint->fresh_count += base.is_fresh;
	error = stage_change(checkpoint, &entry, page->bytes);
	if (!error && page->sum)
		error = annals_keep_sums(&checkpoint->annals, checkpoint->annals.end - 1, page->lines);
	return error;
}

int stage_page(struct checkpoint *checkpoint, uint64_t key, const void *bytes)
{
	static const char zeros[LAYOUT_BLOCK_BYTES];
	struct told_page page; /* not made zeros first: that takes as long as the rest */

	page.key = key;
	page.bytes = bytes ? bytes : zeros;
	sum_lines(page.bytes, checkpoint->home.seed, page.lines);
	page.sum = sum_page(page.bytes, page.lines);
	if (bulk_has(&checkpoint->bulk, key))
		return bulk_write(&checkpoint->bulk, &checkpoint->home, key, page.bytes, page.sum);
	const uint64_t last = annals_find(&checkpoint->annals, key, ANNALS_NEWEST);
	if (last != ANNALS_NONE && annals_at(&checkpoint->annals, last)->sum == page.sum &&
	    !damage_find(&checkpoint->damage, key, last))
		return 0; /* as it was last staged, or at the last epoch */
	return stage_changed(checkpoint, &page, last);
}

/* What was written into home becomes part of the epoch. */
int stage_bulk(struct checkpoint *checkpoint)
{
	const struct index *drafts = &checkpoint->bulk.drafts;
	int error = drafts->count ? bulk_sync(&checkpoint->bulk, &checkpoint->home) : 0;

	for (size_t i = 0; !error && drafts->count && i < drafts->capacity; i++) {
		const struct index_entry *draft = &drafts->entries[i];
		if (draft->key && draft->value) /* zeros again: nothing has changed */
			error = stage_change(checkpoint, &(struct annals_entry){
				.key = draft->key, .sum = draft->value, .kind = LAYOUT_ENTRY_HOME},
				NULL);
	}
	return error;
}
