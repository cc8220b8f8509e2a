/*
 * Log: segments, the chain of records in them, and the epochs these complete. Room-private.
 *
 * A *place* is where the chain stands behind a record: struct layout_trim (layout.h).
 */
#pragma once

#include <stdbool.h>

#include "anchor.h"
#include "log-layout.h"

#define LOG_E_FULL 1 /* no segment is free, and the log may not grow */

struct log_segment {
	uint64_t seq;               /* 0: no valid header */
	uint64_t previous_checksum; /* which record it continues */
	uint64_t previous_seq;
	uint64_t last;              /* seq of the newest record of the chain in it; 0: none */
	bool is_branch;             /* LAYOUT_SEGMENT_BRANCH */
	uint64_t written;           /* up to there no block is a hole or an unwritten extent */
};

struct log_epoch {
	uint64_t epoch;
	struct layout_trim end; /* its committing record */
};

/* Invariant: 1. all records of the chain behind the trim stand in segments with last > trim.seq;
 * 2. a segment is taken only if last <= trimmed_seq, and it is neither the tail's nor, until a
 * branch is durable, that of the tail branched away from;
 * 3. nothing is appended to a segment after an append to it failed, or that of a header which
 * continues it. */
struct log {
	struct anchor *anchor;
	struct medium *medium;
	uint64_t segment_bytes;
	uint32_t segment_limit; /* further ones only when nothing else helps */
	struct log_segment *segments;
	uint32_t segment_count;
	uint32_t segment_capacity;
	uint64_t segment_seq;    /* highest ever seen */
	uint64_t trimmed_seq;    /* both superblocks carry this trim, and nobody asks for what is before */
	struct layout_trim tail; /* behind the newest record, of a whole epoch or not */
	uint64_t tail_record;    /* offset of that record in the log, and its length; 0: none */
	uint64_t tail_len;
	uint64_t rewound_seq;    /* segment of the tail before log_rewind(); 0: released */
	bool is_open;            /* the tail's segment may be appended to */
	bool is_adopted;
	struct log_epoch *epochs; /* whole epochs behind the trim, ascending */
	size_t epoch_count;
	size_t epoch_capacity;
	uint64_t epoch_oldest;   /* those before can no longer be had; 0: nothing said */
	uint64_t epoch_seen;     /* highest number in any record of the chain */
	char *buffer;            /* one record, block-aligned; reading */
};

/* log_open() - read all segment headers; the chain is not walked yet. `wanted_bytes`: how long
 * the log may get before merging is asked for. 0, -errno. */
int log_open(struct log *ret_log, struct anchor *anchor, uint64_t wanted_bytes);
void log_close(struct log *log);

/* log_file_place() - the file offset of an offset in the log; 0: there is no such */
uint64_t log_file_place(const struct log *log, uint64_t offset);

/* log_note() - enter a record of the chain just walked or appended, of which the place behind is
 * *end */
int log_note(struct log *log, const struct layout_record *record, const struct layout_trim *end);

/* log_append() - seal and append a record with epoch, entries, flags and image filled in; on
 * return it is durable. LOG_E_FULL only unless may_grow; -errno: it is not part of the chain, and
 * never will be once a later append has succeeded. */
int log_append(struct log *log, struct layout_record *record, bool may_grow);

/* log_settle() - no record of a failed append can be found any more. 0 or -errno */
int log_settle(struct log *log);

/* log_rewind() - go on behind an older epoch's end, in a new segment; log_release_branch() once
 * that has been appended to, with the seq of that end */
void log_rewind(struct log *log, const struct layout_trim *end);
void log_release_branch(struct log *log, uint64_t seq);

/* log_adopt() - see anchor_adopt(): the same for the newest segment header and record */
int log_adopt(struct log *log);

/* log_trim() - forget what both superblocks say is merged, and annals as well */
void log_trim(struct log *log);

const struct log_epoch *log_find_epoch(const struct log *log, uint64_t epoch);
uint64_t log_live_bytes(const struct log *log);
