/*
 * The problem: an append is torn by a power cut, fails half-way, or succeeds and is reported as
 * failed; segments are used again while their old records still look like new ones; and of all
 * this a recovery must make one history. The trick: a chain of checksums, an order among segments,
 * and a rule: after a failure nothing more is written to that segment, another one continues the
 * chain from the last record known to be durable, and the higher segment wins. The guarantee: a
 * record acknowledged stays in the chain until it is merged and trimmed; one not acknowledged may
 * be in it or not, but never beside its replacement.
 */
#include "log.h"

#include <errno.h>
#include <string.h>

#include "chain.h"
#include "memory.h"
#include "record.h"
#include "region.h"
#include "segment.h"

uint64_t log_file_place(const struct log *log, uint64_t offset)
{
	return space_place(&log->anchor->sb, LAYOUT_USE_LOG, offset);
}

int log_open(struct log *ret_log, struct anchor *anchor, uint64_t wanted_bytes)
{
	*ret_log = (struct log){
		.anchor = anchor,
		.medium = anchor->medium,
		.segment_bytes = anchor->sb.segment_bytes,
		.segment_limit = (uint32_t)(wanted_bytes / anchor->sb.segment_bytes),
		.tail = anchor->sb.trim,
		.segment_seq = anchor->sb.trim.segment_seq,
		.trimmed_seq = anchor->sb.trim.seq,
		.epoch_seen = anchor->sb.trim.epoch,
	};
	ret_log->buffer = memory_grow(NULL, 0, LAYOUT_RECORD_MAX_BYTES);
	return ret_log->buffer ? segment_count_all(ret_log, false) : -ENOMEM;
}

void log_close(struct log *log)
{
	if (log->buffer)
		memory_free(log->buffer, LAYOUT_RECORD_MAX_BYTES);
	if (log->segment_capacity)
		memory_free(log->segments, log->segment_capacity * sizeof(*log->segments));
	if (log->epoch_capacity)
		memory_free(log->epochs, log->epoch_capacity * sizeof(*log->epochs));
	*log = (struct log){0};
}

/* ---- What is in it ---- */

static int note_epoch(struct log *log, const struct layout_record *record,
		      const struct layout_trim *end)
{
	if (log->epoch_count == log->epoch_capacity) {
		size_t capacity = log->epoch_capacity ? 2 * log->epoch_capacity : 64;
		void *memory = memory_grow(log->epochs, log->epoch_capacity * sizeof(*log->epochs),
					   capacity * sizeof(*log->epochs));
		if (!memory)
			return -ENOMEM;
		log->epochs = memory;
		log->epoch_capacity = capacity;
	}
	if (record->flags & LAYOUT_RECORD_COMMIT)
		log->epochs[log->epoch_count++] = (struct log_epoch){record->epoch, *end};
	if (record->epoch > log->epoch_seen)
		log->epoch_seen = record->epoch;
	if (record->flags & LAYOUT_RECORD_BRANCH)
		log->epoch_oldest = record->oldest;
	return 0;
}

int log_note(struct log *log, const struct layout_record *record, const struct layout_trim *end)
{
	int error = note_epoch(log, record, end);

	if (error)
		return error;
	log->segments[segment_of(log, end->offset)].last = record->seq;
	log->tail = *end;
	log->tail_len = record->len;
	log->tail_record = end->offset - record->len;
	return 0;
}

const struct log_epoch *log_find_epoch(const struct log *log, uint64_t epoch)
{
	for (size_t i = 0; i < log->epoch_count; i++)
		if (log->epochs[i].epoch == epoch)
			return &log->epochs[i];
	return NULL;
}

/* ---- Writing ---- */

static uint64_t record_bytes(const struct layout_record *record)
{
	return (sizeof(*record) + record->entry_bytes + LAYOUT_BLOCK_BYTES - 1) &
	       ~(LAYOUT_BLOCK_BYTES - 1);
}

static bool has_room(const struct log *log, uint64_t len)
{
	return segment_start(log, segment_of(log, log->tail.offset) + 1) - log->tail.offset >= len;
}

int log_append(struct log *log, struct layout_record *record, bool may_grow)
{
	struct layout_trim end;
	int error = log_adopt(log);

	if (!error && (!log->is_open || !has_room(log, record_bytes(record))))
		error = segment_take(log, record->flags & LAYOUT_RECORD_BRANCH
						  ? LAYOUT_SEGMENT_BRANCH : 0, may_grow);
	if (error)
		return error;
	record->previous = log->tail.checksum;
	record->seq = log->tail.seq + 1;
	record->segment_seq = log->tail.segment_seq;
	record->offset = log->tail.offset;
	if (!(record->flags & LAYOUT_RECORD_BRANCH))
		record->branch = log->tail.branch;
	record_seal(record, log->anchor->sb.uuid);
	log->is_open = false;
	/* The epoch is acknowledged because of this one. */
	error = medium_append(log->medium, record, record->len, log_file_place(log, record->offset));
	if (error)
		return error;
	log->is_open = true;
	end = (struct layout_trim){
		.offset = record->offset + record->len,
		.seq = record->seq,
		.checksum = record->checksum,
		.segment_seq = record->segment_seq,
		.epoch = record->epoch,
		.branch = record->branch,
	};
	return log_note(log, record, &end);
}

/* A segment that continues the chain, empty or not, gives up what stands in the one before. */
int log_settle(struct log *log)
{
	int error = log_adopt(log);

	return error || log->is_open ? error : segment_take(log, 0, true);
}

/* Until the branch record is durable a recovery still goes on to the newest epoch, so the segments
 * behind keep their `last`; afterwards they hold nothing newer than the epoch branched from. */
void log_rewind(struct log *log, const struct layout_trim *end)
{
	if (!log->rewound_seq)
		log->rewound_seq = log->tail.segment_seq;
	log->tail = *end;
	log->is_open = false;
	while (log->epoch_count && log->epochs[log->epoch_count - 1].end.seq > end->seq)
		log->epoch_count--;
}

void log_release_branch(struct log *log, uint64_t seq)
{
	log->rewound_seq = 0;
	for (uint32_t i = 0; i < log->segment_count; i++)
		if (log->segments[i].last > seq && log->segments[i].seq != log->tail.segment_seq)
			log->segments[i].last = seq;
}

static int append_again(struct log *log, uint64_t offset, uint64_t len)
{
	uint64_t at = log_file_place(log, offset);
	int error = medium_read(log->medium, log->buffer, len, at);

	return error ? error : medium_append(log->medium, log->buffer, len, at);
}

int log_adopt(struct log *log)
{
	int error = log->is_adopted ? 0 : anchor_adopt(log->anchor);
	uint32_t segment = segment_of(log, log->tail.offset);

	if (log->is_adopted || error)
		return error;
	if (segment < log->segment_count && log->tail.segment_seq &&
	    log->segments[segment].seq == log->tail.segment_seq)
		error = append_again(log, segment_start(log, segment), LAYOUT_BLOCK_BYTES);
	if (!error && log->tail_len)
		error = append_again(log, log->tail_record, log->tail_len);
	log->is_adopted = !error;
	return error;
}

void log_trim(struct log *log)
{
	size_t gone = 0;

	log->trimmed_seq = log->anchor->sb.trim.seq;
	if (!log->epoch_capacity)
		return;
	while (gone < log->epoch_count && log->epochs[gone].end.seq <= log->anchor->sb.trim.seq)
		gone++;
	log->epoch_count -= gone;
	memmove(log->epochs, log->epochs + gone, log->epoch_count * sizeof(*log->epochs));
}

uint64_t log_live_bytes(const struct log *log)
{
	return segment_count_used(log) * log->segment_bytes;
}
