/*
 * Records: sealing them, and judging bytes that claim to be one. Room-private.
 */
#pragma once

#include <stdbool.h>

#include "annals.h"

/* Where a record must stand to be taken for one. */
struct record_place {
	const uint8_t *uuid;
	uint64_t offset;      /* in the log */
	uint64_t segment_seq;
	uint64_t room;        /* bytes up to the segment's end */
};

/* record_head_fits() - may a record begin here, going by its first 96 bytes? Then its len may be
 * read: it lies within place->room and LAYOUT_RECORD_MAX_BYTES. */
bool record_head_fits(const struct layout_record *head, const struct record_place *place);

/* record_is_whole() - are its len bytes what was sealed? Only after record_head_fits(). */
bool record_is_whole(const struct layout_record *record, const uint8_t *uuid);

/* record_follows() - is this the successor of the record `previous` ends with? */
bool record_follows(const struct layout_record *record, const struct layout_trim *previous);

/* record_seal() - len, padding and checksum; everything else stands in it already */
void record_seal(struct layout_record *record, const uint8_t *uuid);

/* Entries of a whole record, one after the other; *at starts at 0. 1: *ret_entry is filled, its
 * lines counted from the record's start; 0: that were all; -EILSEQ: the bytes are no entries,
 * whatever the checksum says. */
int record_next_entry(const struct layout_record *record, uint64_t *at,
		      struct annals_entry *ret_entry);
