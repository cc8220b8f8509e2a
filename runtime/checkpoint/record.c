/*
 * The problem: what lies in the log may be a record, a torn one, one of an earlier use of the
 * segment, another pool's, or made to harm. The trick: a record says where it stands, in which use
 * of the segment, and behind which record, all under a checksum seeded with the pool and its
 * predecessor; so that it is valid in one place and one order only. The guarantee: who has passed
 * record_is_whole() was written here by an append that completed or could have, and
 * record_next_entry() never leaves its bytes.
 */
#include "record.h"

#include <errno.h>
#include <string.h>

#include "delta.h"
#include "sum.h"

bool record_head_fits(const struct layout_record *head, const struct record_place *place)
{
	return head->magic == LAYOUT_RECORD_MAGIC && head->offset == place->offset &&
	       head->segment_seq == place->segment_seq && head->len % LAYOUT_BLOCK_BYTES == 0 &&
	       head->len != 0 && head->len <= LAYOUT_RECORD_MAX_BYTES && head->len <= place->room &&
	       head->entry_bytes <= head->len - sizeof(*head);
}

static uint64_t record_checksum(const struct layout_record *record, const uint8_t *uuid)
{
	const size_t from = offsetof(struct layout_record, previous);

	return sum_bytes((const char *)record + from, record->len - from,
			 sum_seed(uuid, record->branch, record->previous));
}

bool record_is_whole(const struct layout_record *record, const uint8_t *uuid)
{
	return record->checksum == record_checksum(record, uuid);
}

bool record_follows(const struct layout_record *record, const struct layout_trim *previous)
{
	if (record->previous != previous->checksum || record->seq != previous->seq + 1)
		return false;
	if (record->flags & LAYOUT_RECORD_BRANCH)
		return record->branch > previous->branch && record->image == previous->epoch;
	return record->branch == previous->branch;
}

void record_seal(struct layout_record *record, const uint8_t *uuid)
{
	const uint64_t used = sizeof(*record) + record->entry_bytes;
	const uint64_t len = (used + LAYOUT_BLOCK_BYTES - 1) & ~(LAYOUT_BLOCK_BYTES - 1);

	memset((char *)record + used, 0, len - used);
	record->magic = LAYOUT_RECORD_MAGIC;
	record->len = (uint32_t)len;
	record->checksum = record_checksum(record, uuid);
}

static bool is_entry(const struct layout_entry *entry, uint64_t room)
{
	const uint64_t kind = entry->key >> LAYOUT_ENTRY_KIND_SHIFT;

	if (kind > LAYOUT_ENTRY_HOME || delta_bytes(entry->mask) > room - sizeof(*entry))
		return false;
	if ((entry->key >> LAYOUT_ENTRY_PAGE_BITS & LAYOUT_REGION_MAX) == 0)
		return false;
	/* What is not all zeros has a checksum, and the other way round. */
	if (kind == LAYOUT_ENTRY_ZERO)
		return (entry->mask == 0) == (entry->sum == 0);
	return (kind == LAYOUT_ENTRY_HOME) == (entry->mask == 0) && entry->sum != 0;
}

int record_next_entry(const struct layout_record *record, uint64_t *at,
		      struct annals_entry *ret_entry)
{
	const uint64_t room = record->entry_bytes - *at;
	struct layout_entry entry;

	if (room == 0)
		return 0;
	if (room < sizeof(entry))
		return -EILSEQ;
	memcpy(&entry, (const char *)(record + 1) + *at, sizeof(entry));
	if (!is_entry(&entry, room))
		return -EILSEQ;
	*ret_entry = (struct annals_entry){
		.key = entry.key & ~(UINT64_C(3) << LAYOUT_ENTRY_KIND_SHIFT),
		.mask = entry.mask,
		.sum = entry.sum,
		.lines = sizeof(*record) + *at + sizeof(entry),
		.kind = entry.key >> LAYOUT_ENTRY_KIND_SHIFT & 3,
	};
	*at += sizeof(entry) + delta_bytes(entry.mask);
	return 1;
}
