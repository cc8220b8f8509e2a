/*
 * The problem: the log must become free again, and home is written in place, without order and
 * without hurry, while the power may go. The trick: pages, whole, newest state up to the target
 * only (many epochs cost one write a page); then their checksums; then one sync; then the trim,
 * in both superblocks; and only then the log is free. The guarantee: as long as a page in home may
 * be torn, the entry that mends it is in the log.
 *
 * A failed write or sync is not repeated in part: the pages the kernel gave up look clean to it
 * and to us, so the trim stays and the next merge writes all of them again.
 */
#include "merge.h"

#include <errno.h>

static int write_pages(struct home *home, const struct index *pages)
{
	char page[LAYOUT_BLOCK_BYTES] __attribute__((aligned(64)));
	int error = 0;

	for (size_t i = 0; !error && i < pages->capacity; i++) {
		const struct index_entry *entry = &pages->entries[i];
		if (!entry->key)
			continue;
		error = home_image(home, entry->key, entry, page);
		if (!error)
			error = home_write(home, entry, page);
	}
	return error;
}

int merge_run(struct home *home, struct log *log, const struct log_epoch *target)
{
	struct layout_superblock next;
	struct index pages;
	const uint64_t failures = home->medium->failures;

	index_init(&pages);
	int error = log_index(log, target->epoch, &pages);
	if (!error)
		error = write_pages(home, &pages);
	index_deinit(&pages);
	if (!error) /* the trim says that all of this is on media */
		error = medium_sync(home->medium);
	if (!error && home->medium->failures != failures)
		error = -EIO;
	if (error)
		return error;
	next = home->anchor->sb;
	next.trim = target->end;
	error = anchor_update(home->anchor, &next);
	if (error)
		return error;
	home->anchor->is_trim_certain = true;
	log_trim(log);
	return 0;
}
