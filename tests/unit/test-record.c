/* Records: bytes of the log that claim to be one, and are believed only if every bit is right, in their
 * own place, pool and order. */
#include "scratch.h"

#include "../crash/disk.h"
#include "checkpoint/delta.h"
#include "checkpoint/record.h"
#include "checkpoint/region.h"

TestSuite(record);

static const uint8_t uuid[16] = "a pool's number";
static const struct record_place place = {
	.uuid = uuid, .offset = 8192, .segment_seq = 3, .room = 16384, /* what record_make() allocates */
};

static struct layout_record *record_make(unsigned entries)
{
	struct layout_record *record = calloc(1, 16384);
	char *at = (char *)(record + 1);

	cr_assert_not_null(record);
	record->epoch = record->seq = 9;
	record->segment_seq = place.segment_seq;
	record->offset = place.offset;
	record->entry_count = entries;
	for (unsigned i = 0; i < entries; i++) {
		struct layout_entry entry = {.key = region_key(5, i), .mask = 1u << i | 1, .sum = 77};
		memcpy(at, &entry, sizeof(entry));
		memset(at + sizeof(entry), 'x', delta_bytes(entry.mask));
		at += sizeof(entry) + delta_bytes(entry.mask);
	}
	record->entry_bytes = (uint64_t)(at - (char *)(record + 1));
	record_seal(record, uuid);
	return record;
}

static bool is_accepted(const struct layout_record *record)
{
	return record_head_fits(record, &place) && record_is_whole(record, uuid);
}

Test(record, of_which_any_bit_is_wrong_is_refused)
{
	struct layout_record *record = record_make(8);

	cr_assert(is_accepted(record));
	for (uint32_t i = 0; i < record->len * 8; i++) {
		uint8_t *byte = (uint8_t *)record + i / 8;
		uint8_t was = *byte;
		*byte ^= (uint8_t)(1u << i % 8);
		cr_assert(!is_accepted(record), "bit %u", i);
		*byte = was;
	}
	free(record);
}

Test(record, is_valid_in_its_own_place_pool_and_order_only)
{
	struct layout_record *record = record_make(2);
	struct record_place other = place;
	uint8_t other_uuid[16] = "another pool's ";

	other.offset += 4096;
	cr_assert(!record_head_fits(record, &other));
	other = place;
	other.segment_seq++;
	cr_assert(!record_head_fits(record, &other));
	other = place;
	other.room = record->len - 1;
	cr_assert(!record_head_fits(record, &other));
	cr_assert(!record_is_whole(record, other_uuid));
	cr_assert(record_follows(record, &(struct layout_trim){.seq = 8}));
	cr_assert(!record_follows(record, &(struct layout_trim){.seq = 7}));
	cr_assert(!record_follows(record, &(struct layout_trim){.seq = 8, .checksum = 1}));
	cr_assert(!record_follows(record, &(struct layout_trim){.seq = 8, .branch = 1}));
	free(record);
}

/* Sealed by somebody who can compute checksums: entries never lead out of the record. */
Test(record, with_made_up_entries_never_leads_out_of_its_bytes)
{
	uint64_t random = 11;

	for (unsigned round = 0; round < 20000; round++) {
		struct layout_record *record = record_make(1 + random_below(&random, 8));
		struct layout_record *exact = NULL;
		struct annals_entry entry;
		uint64_t at = 0, bytes = record->entry_bytes;
		for (unsigned i = 1 + random_below(&random, 6); i; i--)
			((char *)(record + 1))[random_below(&random, (uint32_t)bytes)] ^=
				(char)random_next(&random);
		if (random_below(&random, 4) == 0)
			record->entry_bytes = random_below(&random, (uint32_t)bytes + 1);
		/* Not a byte more than the entries: a sanitizer sees the first one too far. */
		exact = malloc(sizeof(*exact) + record->entry_bytes);
		cr_assert_not_null(exact);
		memcpy(exact, record, sizeof(*exact) + record->entry_bytes);
		while (record_next_entry(exact, &at, &entry) == 1) {
			cr_assert_leq(at, exact->entry_bytes);
			cr_assert_leq(entry.lines + delta_bytes(entry.mask),
				      sizeof(*exact) + exact->entry_bytes);
		}
		free(exact);
		free(record);
	}
}
