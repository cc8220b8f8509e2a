/*
 * The problem: which pages do all the entries of a long log speak of, and how are their lines read,
 * here and there, without a wait for the disk at each? The trick: once through the entries in the
 * order of the log, a thousand at a time, and through its bytes with them; a page is found at the
 * oldest of its entries. The guarantee: each page once, and what of the log cannot be read is said
 * here and not a signal there. Who wants it may do without it: a later entry may have all of it.
 */
#include "harvest.h"

#include <errno.h>
#include <sys/mman.h>

#include "checkpoint.h"
#include "delta.h"
#include "os.h"
#include "segment.h"

#define COLLECT_MANY 1024u
#define READ_BYTES (UINT64_C(256) << 10)

void harvest_begin(struct harvest *harvest, const struct annals *annals,
		   const struct log_epoch *target)
{
	harvest_deinit(harvest);
	harvest->target = *target;
	harvest->number = annals->first;
}

void harvest_deinit(struct harvest *harvest)
{
	queue_deinit(&harvest->queue);
	*harvest = (struct harvest){0};
}

static int read_ahead(struct harvest *harvest, struct log *log, const struct annals_entry *entry)
{
	const uint64_t end = entry->lines + delta_bytes(entry->mask);

	if (entry->lines >= harvest->read_from && end <= harvest->read_end)
		return 0;
	const uint64_t from = entry->lines & ~(LAYOUT_BLOCK_BYTES - 1);
	const uint64_t segment_end = segment_start(log, segment_of(log, from) + 1);
	harvest->read_from = from;
	harvest->read_end = from + READ_BYTES < segment_end ? from + READ_BYTES : segment_end;
	const uint64_t len = harvest->read_end - from;
	const void *view = medium_view(log->medium, len, log_file_place(log, from));
	if (view && os_madvise((void *)(uintptr_t)view, len, MADV_POPULATE_READ) == 0)
		return 0;
	const int error = medium_read(log->medium, log->buffer, len, log_file_place(log, from));
	harvest->is_unreadable |= error == -EIO;
	return error == -EIO ? 0 : error;
}

int harvest_collect(struct harvest *harvest, const struct annals *annals, struct log *log)
{
	int error = 0;

	for (unsigned i = 0; !error && i < COLLECT_MANY; i++, harvest->number++) {
		if (harvest->number == annals->committed ||
		    annals_at(annals, harvest->number)->seq > harvest->target.end.seq)
			return 0;
		const struct annals_entry *entry = annals_at(annals, harvest->number);
		error = entry->mask ? read_ahead(harvest, log, entry) : 0;
		if (!error && annals_before(annals, harvest->number) == ANNALS_NONE)
			error = queue_put(&harvest->queue, entry->key);
	}
	return error ? error : CHECKPOINT_MORE;
}
