/*
 * The problem: what lies in the segments may be the chain's next record, a torn one, the successor
 * of a record given up, or a remainder of an earlier use. The trick: a record is looked for where
 * the chain stands, and believed if it continues just that; of several segments that continue a
 * record the highest counts, since each later one was taken because the earlier had failed or was
 * abandoned. The guarantee: walking from the same place finds the same records, every time.
 */
#include "chain.h"

#include "record.h"
#include "segment.h"

#define PIECE_BYTES (UINT64_C(256) << 10) /* a quarter of log->buffer */

/* Reads what may be a record at an offset. 1: log->buffer holds a whole one. */
static int read_record(struct log *log, const struct layout_trim *place)
{
	struct layout_record *record = (struct layout_record *)log->buffer;
	uint32_t segment = segment_of(log, place->offset);
	struct record_place where = {
		.uuid = log->anchor->sb.uuid,
		.offset = place->offset,
		.segment_seq = place->segment_seq,
		.room = segment_start(log, segment + 1) - place->offset,
	};

	if (place->segment_seq == 0 || segment >= log->segment_count ||
	    log->segments[segment].seq != place->segment_seq || where.room == 0)
		return 0;
	uint64_t at = log_file_place(log, place->offset);
	int error = medium_read(log->medium, record, LAYOUT_BLOCK_BYTES, at);
	if (error || !record_head_fits(record, &where))
		return error;
	error = medium_read(log->medium, log->buffer + LAYOUT_BLOCK_BYTES,
			    record->len - LAYOUT_BLOCK_BYTES, at + LAYOUT_BLOCK_BYTES);
	return error ? error : record_is_whole(record, where.uuid);
}

static bool continues(const struct log_segment *segment, const struct layout_trim *place)
{
	return segment->seq > place->segment_seq &&
	       segment->previous_checksum == place->checksum && segment->previous_seq == place->seq;
}

static struct layout_trim first_place(const struct log *log, const struct log_segment *segment,
				      const struct layout_trim *place)
{
	struct layout_trim first = *place;

	first.segment_seq = segment->seq;
	first.offset = segment_start(log, (uint32_t)(segment - log->segments)) + LAYOUT_BLOCK_BYTES;
	return first;
}

/* 1, 0 or -errno */
static int has_branch_record(struct log *log, const struct log_segment *segment,
			     const struct layout_trim *place)
{
	struct layout_trim first = first_place(log, segment, place);
	int found = read_record(log, &first);

	return found < 1 ? found : record_follows((const struct layout_record *)log->buffer, place);
}

/* Of the segments that continue this place the one with the highest seq; none: the place's own. */
static int enter_successor(struct log *log, struct layout_trim *place)
{
	const struct log_segment *best = NULL;

	for (uint32_t i = 0; i < log->segment_count; i++) {
		const struct log_segment *segment = &log->segments[i];
		if (!continues(segment, place) || (best && segment->seq < best->seq))
			continue;
		int counts = segment->is_branch ? has_branch_record(log, segment, place) : 1;
		if (counts < 0)
			return counts;
		best = counts ? segment : best;
	}
	if (best)
		*place = first_place(log, best, place);
	return 0;
}

int chain_next(struct log *log, struct layout_trim *place, const struct layout_record **ret_record)
{
	const struct layout_record *record = (const struct layout_record *)log->buffer;

	if (!log->segment_count)
		return 0;
	int found = enter_successor(log, place);
	if (!found)
		found = read_record(log, place);
	if (found < 1 || !record_follows(record, place))
		return found < 0 ? found : 0;
	place->offset += record->len;
	place->seq = record->seq;
	place->checksum = record->checksum;
	place->epoch = record->epoch;
	place->branch = record->branch;
	*ret_record = record;
	return 1;
}

/* The head of a record of a time after the chain's end, in a later block of the last segment or any
 * of a segment without a header? */
static bool is_later_head(const struct log *log, const struct layout_record *record,
			  uint64_t offset, uint64_t segment_seq)
{
	struct record_place place = {
		.offset = offset,
		.segment_seq = segment_seq,
		.room = segment_start(log, segment_of(log, offset + 1) + 1) - offset,
	};

	if (segment_seq == 0) { /* header lost: any use later than all known ones */
		if (record->segment_seq <= log->segment_seq)
			return false;
		place.segment_seq = record->segment_seq;
	}
	return record_head_fits(record, &place);
}

static bool is_later_record(struct log *log, uint64_t offset, uint64_t segment_seq)
{
	struct layout_record *record = (struct layout_record *)log->buffer;
	const uint64_t at = log_file_place(log, offset);

	return medium_read(log->medium, record, LAYOUT_BLOCK_BYTES, at) == 0 &&
	       is_later_head(log, record, offset, segment_seq) &&
	       medium_read(log->medium, log->buffer + LAYOUT_BLOCK_BYTES,
			   record->len - LAYOUT_BLOCK_BYTES, at + LAYOUT_BLOCK_BYTES) == 0 &&
	       record_is_whole(record, log->anchor->sb.uuid);
}

/* Passes over blocks that are none, a piece at most; what cannot be read is for a closer look. */
static uint64_t pass_over(struct log *log, uint64_t offset, uint64_t end, uint64_t segment_seq)
{
	const uint64_t len = end - offset < PIECE_BYTES ? end - offset : PIECE_BYTES;
	uint64_t at = 0;

	if (medium_read(log->medium, log->buffer, len, log_file_place(log, offset)) != 0)
		return offset;
	while (at < len && !is_later_head(log, (const struct layout_record *)(log->buffer + at),
					  offset + at, segment_seq))
		at += LAYOUT_BLOCK_BYTES;
	return offset + at;
}

/* Has the segment, from `offset` on, a record of its own use of it? Mostly thousands of blocks, and
 * it has none. */
static bool has_later_record(struct log *log, uint32_t segment, uint64_t offset)
{
	const uint64_t seq = log->segments[segment].seq, end = segment_start(log, segment + 1);

	for (; offset < end; offset += LAYOUT_BLOCK_BYTES) {
		offset = pass_over(log, offset, end, seq);
		if (offset < end && is_later_record(log, offset, seq))
			return true;
	}
	return false;
}

/* Taken after the chain's last one, a segment proves that more was there; but for a branch that
 * did not come to be. */
static bool proves_more(struct log *log, uint32_t segment, const struct layout_trim *end)
{
	const struct log_segment *at = &log->segments[segment];
	const uint64_t first = segment_start(log, segment) + LAYOUT_BLOCK_BYTES;

	if (at->seq == 0)
		return is_later_record(log, first, 0);
	return at->seq > end->segment_seq && (!at->is_branch || has_later_record(log, segment, first));
}

uint64_t chain_damage(struct log *log, const struct layout_trim *end)
{
	const uint32_t last = segment_of(log, end->offset);

	for (uint32_t i = 0; i < log->segment_count; i++)
		if (proves_more(log, i, end))
			return log_file_place(log, segment_start(log, i));
	if (last >= log->segment_count || log->segments[last].seq != end->segment_seq)
		return 0;
	return has_later_record(log, last, end->offset + LAYOUT_BLOCK_BYTES)
		       ? log_file_place(log, end->offset) : 0;
}
