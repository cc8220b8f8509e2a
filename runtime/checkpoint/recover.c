/*
 * The problem: of what a crash left, one history must be made, always the same, and never a
 * wrong one. The trick: start where the superblock says and follow the chain; every record is
 * verified against its predecessor before it is believed, and where the chain ends, what lies
 * behind decides: remains of older uses or a torn append are the ordinary end, anything that was
 * written later means that something acknowledged has been lost. The guarantee: the newest whole
 * epoch, or a refusal that says where the damage is. Nothing is written.
 */
#include "recover.h"

#include <errno.h>
#include <string.h>

#include "chain.h"
#include "record.h"
#include "region.h"

#define PUSH_MANY 32u /* at once: most of their time is waiting for memory */
/* An older epoch is no remedy: how far a merge had come is not known without the records lost. */
#define DAMAGED "look at the disk; restore the pool from a copy, or begin anew with --new"

static int refuse_chain(struct log *log, uint64_t file_offset, struct refusal *ret_why)
{
	return refuse(ret_why, STATUS_CORRUPT, log->medium->name,
		      "log at offset %llu: found no valid record, expected number %llu, as later ones "
		      "exist; " DAMAGED, (unsigned long long)file_offset,
		      (unsigned long long)log->tail.seq + 1);
}

static int push_entries(struct annals *annals, const struct annals_entry *entries, unsigned count)
{
	int error = 0;

	for (unsigned steps = 3; steps >= 2; steps--)
		for (unsigned i = 0; i < count; i++)
			annals_expect(annals, entries[i].key, steps);
	for (unsigned i = 0; !error && i < count; i++)
		error = annals_push(annals, &entries[i]);
	return error;
}

/* 0, -EILSEQ or -ENOMEM. Those of an epoch that never became whole go when another begins. */
static int enter_entries(struct annals *annals, uint32_t only_region,
			 const struct layout_record *record, bool is_new)
{
	struct annals_entry entries[PUSH_MANY];
	uint64_t at = 0, count = 0;
	int more = 1, error = 0;

	if (is_new)
		annals_rollback(annals);
	do {
		unsigned i = 0;
		while (i < PUSH_MANY && (more = record_next_entry(record, &at, &entries[i])) == 1) {
			i += !only_region || region_id_of_key(entries[i].key) == only_region;
			count++;
		}
		error = push_entries(annals, entries, i);
	} while (!error && more == 1);
	annals_settle(annals, record->seq, record->offset);
	if (error || more || count != record->entry_count)
		return error ? error : -EILSEQ;
	if (record->flags & LAYOUT_RECORD_COMMIT)
		annals_commit(annals);
	return 0;
}

int recover_chain(struct log *log, struct annals *annals, uint32_t only_region,
		  struct refusal *ret_why)
{
	struct layout_trim place = log->anchor->sb.trim;
	const struct layout_record *record;
	uint64_t newest = place.epoch, last = 0;
	int found;

	while ((found = chain_next(log, &place, &record)) == 1) {
		const bool is_commit = record->flags & LAYOUT_RECORD_COMMIT;
		const int error = enter_entries(annals, only_region, record,
						record->epoch != last);
		if (error == -ENOMEM) {
			found = error;
			break;
		}
		if (error || record->epoch <= newest ||
		    (record->flags & ~(uint32_t)LAYOUT_RECORD_FLAGS))
			return refuse(ret_why, STATUS_CORRUPT, log->medium->name,
				      "log at offset %llu: record %llu has a right checksum and wrong "
				      "contents; " DAMAGED,
				      (unsigned long long)log_file_place(log, record->offset),
				      (unsigned long long)record->seq);
		newest = is_commit ? record->epoch : newest;
		last = record->epoch;
		found = log_note(log, record, &place);
		if (found)
			break;
	}
	annals_rollback(annals);
	if (found < 0)
		return refuse(ret_why, STATUS_CORRUPT, log->medium->name,
			      "cannot read the log: error %d (%s); look at the disk", -found,
			      strerrordesc_np(-found));
	log->tail = place; /* in the segment that wins, even if nothing stands there yet */
	uint64_t damage = chain_damage(log, &place);
	return damage ? refuse_chain(log, damage, ret_why) : 0;
}
