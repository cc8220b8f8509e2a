/*
 * The problem: home must stay as it is while forked children see it, so nothing is merged; the
 * log would grow for as long as one of them lives. The trick: what a merge would write to home goes
 * to the log's end instead. Each page that the log has entries of gets one more, a whole one: all
 * lines that any of these names, as they are now. It is an entry like others, of the epoch under
 * way, that is rolled back, replayed and merged as they are. Once no epoch that can be had is older
 * than it, nobody reads the entries before, and the trim passes them.
 *
 * The guarantee: not a byte of home changes; the log has at most about three times what differs
 * from home, however long it is held; and each epoch that can be had is what it was at any moment.
 * A line that no entry names is what it was at the last merge, in every epoch since and in any
 * mixture of them that a merge cut short has left in home: so a whole entry names all that were
 * named, and not only those that differ from home as it is read now.
 *
 * What the trim names is then no longer what home holds; but that epoch cannot be had either, for
 * the newest ones all stand behind it, and what the run began with, before it. A merge goes on from
 * there when home is let go. One that a branch sends to an epoch before the whole entries finds
 * checksums that are not right, and changes nothing that counts; the next goes further.
 *
 * The disk may be full. Records are small enough for the segment in use or the one that is ready,
 * which commits have found there as well; if no other can be had, nothing is carried.
 */
#include "carry.h"

#include <errno.h>

#include "engine.h"
#include "os.h"
#include "stage.h"

#define PATIENCE 2u /* times what is wanted, or what is carried: then it is worth while */
#define RETRY_EPOCHS 16u

void carry_abandon(struct carry *carry)
{
	harvest_deinit(&carry->harvest);
	*carry = (struct carry){
		.whole_bytes = carry->whole_bytes,
		.retry_epochs = carry->retry_epochs,
		.pages_seen = carry->pages_seen,
	};
}

void carry_rollback(struct carry *carry, uint64_t durable)
{
	if (carry->phase == CARRY_WRITE || (carry->phase == CARRY_WAIT && carry->epoch > durable))
		carry_abandon(carry);
}

static uint64_t least_bytes(const struct checkpoint *checkpoint)
{
	const uint64_t wanted = checkpoint->plan.log_bytes, whole = checkpoint->carry.whole_bytes;

	return PATIENCE * (whole > wanted ? whole : wanted);
}

bool carry_is_pressed(const struct checkpoint *checkpoint)
{
	return checkpoint->hold & CHECKPOINT_STILL &&
	       log_live_bytes(&checkpoint->log) >= least_bytes(checkpoint) / 2 * 3;
}

bool carry_begin(struct checkpoint *checkpoint)
{
	struct carry *carry = &checkpoint->carry;
	const struct log *log = &checkpoint->log;

	if (!log->epoch_count || checkpoint->info.epochs < carry->retry_epochs ||
	    log_live_bytes(log) < least_bytes(checkpoint))
		return false;
	harvest_begin(&carry->harvest, &checkpoint->annals, &log->epochs[log->epoch_count - 1]);
	carry->phase = CARRY_COLLECT;
	return true;
}

/* ---- Writing ---- */

/* What the page's entries are together: from this one back to the first that counts. */
static struct annals_entry whole_of(const struct annals *annals, uint64_t number)
{
	struct annals_entry whole = *annals_at(annals, number);

	while (whole.kind == LAYOUT_ENTRY_LINES) {
		number = annals_before(annals, number);
		if (number == ANNALS_NONE)
			break;
		const struct annals_entry *entry = annals_at(annals, number);
		whole.mask |= entry->mask;
		if (entry->kind == LAYOUT_ENTRY_HOME)
			break;
		whole.kind = entry->kind;
	}
	return whole;
}

static int carry_page(struct checkpoint *checkpoint, uint64_t key)
{
	char page[LAYOUT_BLOCK_BYTES] __attribute__((aligned(64)));
	uint64_t lines[LAYOUT_LINES];
	const struct annals_entry whole =
		whole_of(&checkpoint->annals, annals_find(&checkpoint->annals, key, ANNALS_NEWEST));
	int error = 0;

	if (whole.mask) /* else zeros, or in home already */
		error = home_image(&checkpoint->home, key, ANNALS_NEWEST, page, lines);
	if (!error)
		error = stage_entry(checkpoint, &whole, page);
	checkpoint->info.carried_pages += !error;
	return error;
}

/* A quarter of a segment: then there is room for it, or a segment that is ready (tend.c). */
static bool is_long_enough(const struct checkpoint *checkpoint)
{
	const struct layout_record *record = (const struct layout_record *)checkpoint->buffer;

	return stage_is_full(checkpoint) ||
	       sizeof(*record) + record->entry_bytes >= checkpoint->log.segment_bytes / 4;
}

static int carry_pages(struct checkpoint *checkpoint, struct merge_limit limit)
{
	const bool is_log_viewed = checkpoint->home.is_log_viewed;
	uint64_t key;
	int error = 0;

	/* Nobody has read the newest of it before. */
	checkpoint->home.is_log_viewed = false;
	for (uint64_t i = 0; !error && i < limit.pages && !merge_is_late(limit, i); i++) {
		if (is_long_enough(checkpoint) || !queue_take(&checkpoint->carry.harvest.queue, &key))
			break;
		error = carry_page(checkpoint, key);
	}
	checkpoint->home.is_log_viewed = is_log_viewed;
	return error;
}

/* A record of the epoch under way. The program's own drafts are left to who drafted them; if there
 * is nothing of the program's, not more than one epoch is made for our sake alone. */
static int write_record(struct checkpoint *checkpoint, struct merge_limit limit)
{
	struct carry *carry = &checkpoint->carry;

	if (!annals_is_settled(&checkpoint->annals) || checkpoint->draft_error ||
	    (!checkpoint->is_begun && checkpoint->info.pages == carry->pages_seen))
		return 0;
	carry->pages_seen = checkpoint->info.pages;
	epoch_begin(checkpoint);
	int error = carry_pages(checkpoint, limit);
	const uint64_t before = checkpoint->info.record_bytes;
	if (!error)
		error = stage_append(checkpoint, 0);
	carry->bytes += checkpoint->info.record_bytes - before;
	if (error)
		stage_drop(checkpoint);
	else
		stage_begin(checkpoint, checkpoint->attempt + 1);
	if (error || carry->harvest.queue.count)
		return error ? error : CHECKPOINT_MORE;
	carry->epoch = checkpoint->attempt + 1;
	carry->phase = CARRY_WAIT;
	return 0;
}

static int collect(struct checkpoint *checkpoint, struct merge_limit limit)
{
	struct carry *carry = &checkpoint->carry;
	int more = CHECKPOINT_MORE;

	for (uint64_t i = 0; more == CHECKPOINT_MORE && i < limit.pages && !merge_is_late(limit, i); i++)
		more = harvest_collect(&carry->harvest, &checkpoint->annals, &checkpoint->log);
	if (more)
		return more;
	carry->phase = CARRY_WRITE;
	return CHECKPOINT_MORE;
}

int carry_step(struct checkpoint *checkpoint, struct merge_limit limit)
{
	struct carry *carry = &checkpoint->carry;
	int status = 0;

	if (carry->phase == CARRY_COLLECT)
		status = collect(checkpoint, limit);
	else if (carry->phase == CARRY_WRITE)
		status = write_record(checkpoint, limit);
	if (status && status != CHECKPOINT_MORE) {
		carry_abandon(carry);
		carry->retry_epochs = checkpoint->info.epochs + RETRY_EPOCHS;
	}
	return status;
}

/* ---- Trimming ---- */

int carry_trim(struct checkpoint *checkpoint)
{
	struct layout_superblock next = checkpoint->anchor.sb;

	next.trim = checkpoint->carry.harvest.target.end;
	/* Home has not changed: what is on media of it is as good as what is not. */
	int error = anchor_update(&checkpoint->anchor, &next);
	if (error)
		return error;
	log_trim(&checkpoint->log);
	annals_trim(&checkpoint->annals, next.trim.seq);
	checkpoint->carry.whole_bytes = checkpoint->carry.bytes;
	carry_abandon(&checkpoint->carry);
	checkpoint->info.carried_rounds++;
	return 0;
}
