/*
 * The problem: an append is torn by a power cut, fails half-way, or succeeds and is reported as
 * failed; segments are used again while their old records still look like new ones; and of all
 * this a recovery must make one history. The trick: a chain of checksums, an order among segments,
 * and a rule: after a failure nothing more is written to that segment, another one continues the
 * chain from the last record known to be durable, and the higher segment wins. The guarantee: a
 * record acknowledged stays in the chain until it is merged and trimmed; one not acknowledged may
 * be in it or not, but never beside its replacement.
 *
 * Segments are written with zeros before their first use: an append into a hole or an unwritten
 * extent costs a journal commit more (0.3 ms instead of 0.2), and a full disk is noticed before an
 * epoch relies on the space.
 */
#include "log.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "os.h"
#include "record.h"
#include "region.h"
#include "sum.h"

#define ZEROS_BYTES (UINT64_C(256) << 10)

static uint64_t segment_start(const struct log *log, uint32_t segment)
{
	return segment * log->segment_bytes;
}

/* The segment a place lies in; a place behind its last block still belongs to it. */
static uint32_t segment_of(const struct log *log, uint64_t offset)
{
	return (uint32_t)((offset ? offset - 1 : 0) / log->segment_bytes);
}

uint64_t log_file_place(const struct log *log, uint64_t offset)
{
	return space_place(&log->anchor->sb, LAYOUT_USE_LOG, offset);
}

static uint64_t header_checksum(const struct layout_segment *header, const uint8_t *uuid)
{
	const size_t from = offsetof(struct layout_segment, seq);

	return sum_bytes((const char *)header + from, sizeof(*header) - from,
			 sum_seed(uuid, 0, LAYOUT_SEGMENT_MAGIC));
}

static bool header_is_whole(const struct log *log, const struct layout_segment *header,
			    uint32_t segment)
{
	return header->magic == LAYOUT_SEGMENT_MAGIC &&
	       header->offset == segment_start(log, segment) &&
	       header->checksum == header_checksum(header, log->anchor->sb.uuid);
}

static int load_segment(struct log *log, uint32_t segment)
{
	struct layout_segment *header = (struct layout_segment *)log->buffer;
	struct log_segment *ret = &log->segments[segment];
	int error = medium_read(log->medium, header, sizeof(*header),
				log_file_place(log, segment_start(log, segment)));

	*ret = (struct log_segment){0};
	if (error)
		return error;
	ret->is_written = header->magic == LAYOUT_SEGMENT_MAGIC;
	if (!header_is_whole(log, header, segment))
		return 0;
	ret->seq = header->seq;
	ret->is_branch = header->flags & LAYOUT_SEGMENT_BRANCH;
	ret->previous_checksum = header->previous_checksum;
	ret->previous_seq = header->previous_seq;
	if (ret->seq > log->segment_seq)
		log->segment_seq = ret->seq;
	return 0;
}

/* The same memory, larger; what it held is kept. NULL: nothing has changed. */
static void *memory_grow(void *old, size_t old_bytes, size_t bytes)
{
	void *memory = os_mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (os_is_error(memory))
		return NULL;
	if (old_bytes) {
		memcpy(memory, old, old_bytes);
		os_munmap(old, old_bytes);
	}
	return memory;
}

/* Segments of extents that both superblocks carry; those not known yet are read. */
static int count_segments(struct log *log, bool is_new)
{
	uint64_t bytes = space_bytes(&log->anchor->sb, LAYOUT_USE_LOG);
	uint32_t count = (uint32_t)(bytes / log->segment_bytes);

	if (count > log->segment_capacity) {
		uint32_t capacity = (count + 127) & ~UINT32_C(127);
		void *memory = memory_grow(log->segments,
					   log->segment_capacity * sizeof(*log->segments),
					   capacity * sizeof(*log->segments));
		if (!memory)
			return -ENOMEM;
		log->segments = memory;
		log->segment_capacity = capacity;
	}
	for (; log->segment_count < count; log->segment_count++) {
		log->segments[log->segment_count] = (struct log_segment){0};
		int error = is_new ? 0 : load_segment(log, log->segment_count);
		if (error)
			return error;
	}
	return 0;
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
		.epoch_seen = anchor->sb.trim.epoch,
	};
	ret_log->buffer = memory_grow(NULL, 0, LAYOUT_RECORD_MAX_BYTES);
	return ret_log->buffer ? count_segments(ret_log, false) : -ENOMEM;
}

void log_close(struct log *log)
{
	if (log->buffer)
		os_munmap(log->buffer, LAYOUT_RECORD_MAX_BYTES);
	if (log->segment_capacity)
		os_munmap(log->segments, log->segment_capacity * sizeof(*log->segments));
	if (log->epoch_capacity)
		os_munmap(log->epochs, log->epoch_capacity * sizeof(*log->epochs));
	*log = (struct log){0};
}

/* ---- Reading ---- */

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

int log_next(struct log *log, struct layout_trim *place, const struct layout_record **ret_record)
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

static int note_epoch(struct log *log, const struct layout_record *record,
		      const struct layout_trim *before, const struct layout_trim *end)
{
	if (log->epoch_count + 1 >= log->epoch_capacity) { /* one more is always under way */
		size_t capacity = log->epoch_capacity ? 2 * log->epoch_capacity : 64;
		void *memory = memory_grow(log->epochs, log->epoch_capacity * sizeof(*log->epochs),
					   capacity * sizeof(*log->epochs));
		if (!memory)
			return -ENOMEM;
		log->epochs = memory;
		log->epoch_capacity = capacity;
	}
	/* Every record notes its epoch; the first one opens it, the committing one makes it count. */
	struct log_epoch *entry = &log->epochs[log->epoch_count];
	if (entry->epoch != record->epoch || entry->before.seq >= before->seq)
		*entry = (struct log_epoch){.epoch = record->epoch, .before = *before};
	entry->end = *end;
	log->epoch_count += (record->flags & LAYOUT_RECORD_COMMIT) != 0;
	if (record->epoch > log->epoch_seen)
		log->epoch_seen = record->epoch;
	if (record->flags & LAYOUT_RECORD_BRANCH)
		log->epoch_oldest = record->oldest;
	return 0;
}

int log_note(struct log *log, const struct layout_record *record, const struct layout_trim *before,
	     const struct layout_trim *end)
{
	int error = note_epoch(log, record, before, end);

	if (error)
		return error;
	log->segments[segment_of(log, end->offset)].last = record->seq;
	log->tail = *end;
	log->tail_len = record->len;
	log->tail_record = end->offset - record->len;
	return 0;
}

int log_index(struct log *log, uint64_t epoch, struct index *index)
{
	const struct layout_record *record;
	int error = 0;

	for (size_t i = 0; !error && i < log->epoch_count && log->epochs[i].epoch <= epoch; i++) {
		struct layout_trim place = log->epochs[i].before;
		while (!error && place.seq != log->epochs[i].end.seq) {
			int found = log_next(log, &place, &record);
			error = found == 1 ? record_index(record, index) : found ? found : -EILSEQ;
		}
	}
	return error;
}

const struct log_epoch *log_find_epoch(const struct log *log, uint64_t epoch)
{
	for (size_t i = 0; i < log->epoch_count; i++)
		if (log->epochs[i].epoch == epoch)
			return &log->epochs[i];
	return NULL;
}

/* A later block of the last segment, or any of a segment without a header, that holds a record of
 * a time after the chain's end. */
static bool is_later_record(struct log *log, uint64_t offset, uint64_t segment_seq)
{
	struct layout_record *record = (struct layout_record *)log->buffer;
	struct record_place place = {.offset = offset, .segment_seq = segment_seq};
	uint32_t segment = segment_of(log, offset + 1);
	uint64_t at = log_file_place(log, offset);

	if (medium_read(log->medium, record, LAYOUT_BLOCK_BYTES, at) < 0)
		return false;
	if (segment_seq == 0) { /* header lost: any use later than all known ones */
		if (record->segment_seq <= log->segment_seq)
			return false;
		place.segment_seq = record->segment_seq;
	}
	place.room = segment_start(log, segment + 1) - offset;
	if (!record_head_fits(record, &place))
		return false;
	return medium_read(log->medium, log->buffer + LAYOUT_BLOCK_BYTES,
			   record->len - LAYOUT_BLOCK_BYTES, at + LAYOUT_BLOCK_BYTES) == 0 &&
	       record_is_whole(record, log->anchor->sb.uuid);
}

/* Has the segment, from `offset` on, a record of its own use of it? */
static bool has_later_record(struct log *log, uint32_t segment, uint64_t offset)
{
	const uint64_t seq = log->segments[segment].seq;

	for (; offset < segment_start(log, segment + 1); offset += LAYOUT_BLOCK_BYTES)
		if (is_later_record(log, offset, seq))
			return true;
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

uint64_t log_damage(struct log *log, const struct layout_trim *end)
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

/* ---- Writing ---- */

static int grow(struct log *log)
{
	struct layout_superblock next;
	uint64_t len = log->segment_bytes > LAYOUT_CHUNK_BYTES ? log->segment_bytes : LAYOUT_CHUNK_BYTES;
	int error = anchor_settle(log->anchor); /* an earlier growth may have got half-way */

	if (error)
		return error;
	uint32_t before = log->segment_count;
	error = count_segments(log, true);
	if (error || log->segment_count > before)
		return error;
	next = log->anchor->sb;
	error = space_extend(&next, LAYOUT_USE_LOG, len);
	if (!error) /* a superblock never promises more than the file has */
		error = medium_extend(log->medium, space_file_bytes(&next));
	if (!error)
		error = anchor_update(log->anchor, &next);
	return error ? error : count_segments(log, true);
}

/* May it be taken? Not the tail's segment, even if nothing stands in it: its header alone keeps
 * a record from counting whose append had failed. */
static bool is_free(const struct log *log, uint32_t segment)
{
	const uint64_t seq = log->segments[segment].seq;
	const bool is_tail = seq && (seq == log->tail.segment_seq || seq == log->rewound_seq);

	return !is_tail && log->segments[segment].last <= log->anchor->sb.trim.seq;
}

static int find_free(struct log *log, bool may_grow, uint32_t *ret_segment)
{
	/* Before any use, both superblocks must carry the trim that freed it. */
	int error = anchor_settle(log->anchor);

	if (error)
		return error;
	for (uint32_t i = 0;; i++) {
		if (i >= log->segment_limit && !may_grow)
			return LOG_E_FULL;
		if (i >= log->segment_count)
			error = grow(log);
		if (error)
			return error == -ENOSPC && !may_grow ? LOG_E_FULL : error;
		if (is_free(log, i)) {
			*ret_segment = i;
			return 0;
		}
	}
}

static int write_zeros(struct log *log, uint32_t segment)
{
	void *zeros = memory_grow(NULL, 0, ZEROS_BYTES);
	uint64_t start = segment_start(log, segment);
	int error = zeros ? 0 : -ENOMEM;

	for (uint64_t at = 0; !error && at < log->segment_bytes; at += ZEROS_BYTES) {
		uint64_t left = log->segment_bytes - at;
		error = medium_append(log->medium, zeros, left < ZEROS_BYTES ? left : ZEROS_BYTES,
				      log_file_place(log, start + at));
	}
	if (zeros)
		os_munmap(zeros, ZEROS_BYTES);
	log->segments[segment].is_written = !error;
	return error;
}

static int open_segment(struct log *log, uint32_t flags, bool may_grow)
{
	struct layout_segment *header = (struct layout_segment *)log->buffer;
	uint32_t segment;
	int error = find_free(log, may_grow, &segment);

	if (!error && !log->segments[segment].is_written)
		error = write_zeros(log, segment);
	if (error)
		return error;
	memset(header, 0, sizeof(*header));
	header->magic = LAYOUT_SEGMENT_MAGIC;
	header->seq = ++log->segment_seq; /* a failed one keeps its number: none is used twice */
	header->previous_checksum = log->tail.checksum;
	header->previous_seq = log->tail.seq;
	header->offset = segment_start(log, segment);
	header->flags = flags;
	header->checksum = header_checksum(header, log->anchor->sb.uuid);
	log->segments[segment].seq = 0;
	log->segments[segment].last = 0;
	/* The records to come are found through it, and from here on no other successor counts. */
	error = medium_append(log->medium, header, sizeof(*header),
			      log_file_place(log, header->offset));
	if (error)
		return error;
	log->segments[segment].seq = header->seq;
	log->segments[segment].is_branch = flags & LAYOUT_SEGMENT_BRANCH;
	log->segments[segment].previous_checksum = header->previous_checksum;
	log->segments[segment].previous_seq = header->previous_seq;
	log->tail.segment_seq = header->seq;
	log->tail.offset = header->offset + LAYOUT_BLOCK_BYTES;
	log->tail_len = 0;
	log->is_open = true;
	return 0;
}

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
	struct layout_trim end, before = log->tail;
	int error = log_adopt(log);

	if (!error && (!log->is_open || !has_room(log, record_bytes(record))))
		error = open_segment(log, record->flags & LAYOUT_RECORD_BRANCH
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
	return log_note(log, record, &before, &end);
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
		log->epochs[--log->epoch_count] = (struct log_epoch){0};
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

	if (!log->epoch_capacity)
		return;
	while (gone < log->epoch_count && log->epochs[gone].end.seq <= log->anchor->sb.trim.seq)
		gone++;
	log->epoch_count -= gone;
	memmove(log->epochs, log->epochs + gone, (log->epoch_count + 1) * sizeof(*log->epochs));
}

uint64_t log_live_bytes(const struct log *log)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < log->segment_count; i++)
		bytes += !is_free(log, i) * log->segment_bytes;
	return bytes;
}
