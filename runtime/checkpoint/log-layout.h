/*
 * The log's bytes on media.
 *
 * The log is the concatenation of the pool's extents of use "log", an array of equal segments.
 * A segment is taken, filled from the front, and taken again when all it holds has been merged.
 *
 *   segment   +--------+----------+----------+------------------+
 *             | header | record n | record   | free, or remains |
 *             |        |          | n+1  ... | of an earlier use|
 *             +--------+----------+----------+------------------+
 *             4 KiB    each a whole number of 4 KiB blocks
 *
 * Records form a chain: each carries the checksum of the one before, which goes into the seed of
 * its own. An epoch is one record or several; only the last carries LAYOUT_RECORD_COMMIT, and
 * without it none of them counts. A record is valid when its checksum is right; a torn append is a
 * wrong checksum, so it has happened wholly or not at all.
 *
 * A segment continues the chain behind the record its header names. Of two successors of one
 * record that in the segment with the higher seq counts: the other's append had failed, or it was
 * abandoned for a branch. So the rest of a segment is dead from the moment another continues it.
 *
 * Little endian. Reserved bytes are zero and covered by the checksum.
 */
#pragma once

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "layout.h"

/*
 * ---- Segment header ----
 *
 * OFFSET  SIZE  MEANING
 *      0     8  magic "hssegmnt"
 *      8     8  checksum: XXH3-64 of bytes 16..4095, seeded by the pool's uuid
 *     16     8  seq: higher than that of every segment taken before
 *     24     8  checksum of the record it continues; 0: starts the chain
 *     32     8  seq of that record; 0: starts the chain
 *     40     8  its own offset in the log
 *     48     4  flags (enum layout_segment_flags)
 *     52  4044  reserved
 */
#define LAYOUT_SEGMENT_MAGIC UINT64_C(0x746e6d6765737368) /* "hssegmnt" */

enum layout_segment_flags {
	LAYOUT_SEGMENT_BRANCH = 1, /* counts only together with its first record, a branch record: a
				    * header alone would give up newer epochs and put nothing in
				    * their place */
};

struct layout_segment {
	uint64_t magic;
	uint64_t checksum;
	uint64_t seq;
	uint64_t previous_checksum;
	uint64_t previous_seq;
	uint64_t offset;
	uint32_t flags;
	uint8_t reserved[4044];
};
static_assert(sizeof(struct layout_segment) == LAYOUT_BLOCK_BYTES, "on media");
static_assert(offsetof(struct layout_segment, offset) == 40, "on media");

/*
 * ---- Record ----
 *
 * OFFSET  SIZE  MEANING
 *      0     8  magic "hsrecord"
 *      8     8  checksum: XXH3-64 of bytes 16..len-1, seeded by the pool's uuid, the branch and
 *               the checksum of the record before
 *     16     8  checksum of the record before
 *     24     8  seq: one more than that of the record before
 *     32     8  epoch
 *     40     8  seq of the segment it stands in
 *     48     8  its own offset in the log
 *     56     4  len: bytes with header and padding, a multiple of 4096
 *     60     4  number of entries
 *     64     4  branch: that of the record before, but for a branch record
 *     68     4  flags (enum layout_record_flags)
 *     72     8  of a branch record: the epoch whose image this one equals; else 0
 *     80     8  bytes of all entries
 *     88     8  of a branch record: the oldest epoch that can still be had; home may have passed
 *               older ones that a shorter chain would count among the newest; else 0
 *     96        entries; behind the last zeros up to len
 */
#define LAYOUT_RECORD_MAGIC UINT64_C(0x64726f6365727368) /* "hsrecord" */
#define LAYOUT_RECORD_MAX_BYTES (UINT64_C(1) << 20)

enum layout_record_flags {
	LAYOUT_RECORD_COMMIT = 1, /* the epoch is whole */
	LAYOUT_RECORD_BRANCH = 2, /* first of a branch; continues the last record of `image` */
	LAYOUT_RECORD_FLAGS = 3,
};

struct layout_record {
	uint64_t magic;
	uint64_t checksum;
	uint64_t previous;
	uint64_t seq;
	uint64_t epoch;
	uint64_t segment_seq;
	uint64_t offset;
	uint32_t len;
	uint32_t entry_count;
	uint32_t branch;
	uint32_t flags;
	uint64_t image;
	uint64_t entry_bytes;
	uint64_t oldest;
};
static_assert(sizeof(struct layout_record) == 96, "on media");
static_assert(offsetof(struct layout_record, len) == 56, "on media");
static_assert(offsetof(struct layout_record, image) == 72, "on media");

/*
 * ---- Entry ----
 *
 * OFFSET  SIZE  MEANING
 *      0     8  bits 0..35 page index, 36..61 region id, 62..63 kind (enum layout_entry_kind)
 *      8     8  mask: bit n stands for the line of 64 bytes at 64 n of the page
 *     16     8  checksum of the whole page at this epoch: XXH3-64 of the XXH3-64s of its lines,
 *               these seeded by the pool's uuid; 0 becomes 1; 0: all zeros
 *     24        the lines the mask names, ascending, 64 bytes each
 *
 * An entry says what has become of the page since the entry before it, in the same epoch or an
 * earlier one, or, if there is none behind the trim, since home:
 *   LINES  what it was, with these lines over it.
 *   ZERO   zeros with these lines over them, whatever it was.
 *   HOME   home as it is: written and synced before the record. The mask is 0.
 * So a page is home with all its entries over it, oldest first. Home may have received some of
 * them, or parts, meanwhile: no harm, for a line in which it differs from what it was at the trim
 * is named by one of them, and the last that names it says what it is.
 */
enum layout_entry_kind { LAYOUT_ENTRY_LINES, LAYOUT_ENTRY_ZERO, LAYOUT_ENTRY_HOME };

#define LAYOUT_LINE_BYTES 64u
#define LAYOUT_LINES (LAYOUT_BLOCK_BYTES / LAYOUT_LINE_BYTES)
#define LAYOUT_ENTRY_PAGE_BITS 36
#define LAYOUT_ENTRY_REGION_BITS 26
#define LAYOUT_ENTRY_KIND_SHIFT 62
#define LAYOUT_REGION_MAX ((UINT32_C(1) << LAYOUT_ENTRY_REGION_BITS) - 1)
#define LAYOUT_PAGE_MAX ((UINT64_C(1) << LAYOUT_ENTRY_PAGE_BITS) - 1)

struct layout_entry {
	uint64_t key;
	uint64_t mask;
	uint64_t sum;
};
static_assert(sizeof(struct layout_entry) == 24, "on media");
