/*
 * The problem: a pool on media is a home, a log and two superblocks, and who opens it wants epochs
 * and pages. The trick: one annals of all entries, made by walking the log once, in which a page is
 * found at any epoch. The guarantee: what is read was compared with what was committed, and reading
 * writes nothing, so that anybody may do it at any time.
 */
#include "engine.h"

#include <errno.h>
#include <string.h>

#include "memory.h"
#include "queue.h"
#include "recover.h"
#include "sum.h"

#define SEGMENT_BYTES_DEFAULT LAYOUT_SEGMENT_MAX_BYTES
#define BULK_PAGES_DEFAULT 512u
#define STEP_PAGES_DEFAULT 4096u
#define LOG_BYTES_DEFAULT (UINT64_C(64) << 20)

/* A pool that never kept anything has no log; it gets its shape when its first writer attaches. */
static int open_log(struct checkpoint *checkpoint, struct refusal *ret_why)
{
	const char *name = checkpoint->anchor.medium->name;
	int error = log_open(&checkpoint->log, &checkpoint->anchor, checkpoint->plan.log_bytes);

	if (error)
		return refuse(ret_why, STATUS_CORRUPT, name,
			      "cannot read the log: error %d (%s); look at the disk", -error,
			      strerrordesc_np(-error));
	return recover_chain(&checkpoint->log, &checkpoint->annals, checkpoint->plan.only_region,
			     ret_why);
}

static uint64_t max_of(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static int add_regions(struct checkpoint *checkpoint, struct refusal *ret_why)
{
	for (size_t i = 0; i < checkpoint->plan.region_count; i++) {
		struct region region = checkpoint->plan.regions[i];
		int error = checkpoint_add_region(checkpoint, &region);
		if (error)
			return refuse(ret_why, STATUS_FAILED, checkpoint->anchor.medium->name,
				      "region %u cannot be kept: error %d (%s); use the heapsake that "
				      "made it", region.id, -error, strerrordesc_np(-error));
	}
	return 0;
}

static int open_parts(struct checkpoint *checkpoint, struct medium *medium, struct refusal *ret_why)
{
	int status = anchor_open(&checkpoint->anchor, medium, ret_why);

	if (status)
		return status;
	home_open(&checkpoint->home, &checkpoint->anchor, &checkpoint->log, &checkpoint->annals,
		  &checkpoint->roster);
	checkpoint->epoch = checkpoint->anchor.sb.trim.epoch;
	if (checkpoint->anchor.sb.segment_bytes)
		status = open_log(checkpoint, ret_why);
	if (status)
		return status;
	if (checkpoint->log.epoch_count)
		checkpoint->epoch = checkpoint->log.epochs[checkpoint->log.epoch_count - 1].epoch;
	checkpoint->attempt = max_of(checkpoint->anchor.sb.epoch_base,
				     max_of(checkpoint->log.epoch_seen, checkpoint->epoch));
	select_epoch(checkpoint, checkpoint->epoch);
	return add_regions(checkpoint, ret_why);
}

int checkpoint_open(struct checkpoint **ret_checkpoint, struct medium *medium,
		    const struct checkpoint_plan *plan, struct refusal *ret_why)
{
	struct checkpoint *checkpoint = memory_new(sizeof(*checkpoint));

	if (!checkpoint)
		return refuse(ret_why, STATUS_FAILED, medium->name, "no memory to open it; free some");
	checkpoint->plan = *plan;
	if (!plan->segment_bytes)
		checkpoint->plan.segment_bytes = SEGMENT_BYTES_DEFAULT;
	if (!plan->step_pages)
		checkpoint->plan.step_pages = STEP_PAGES_DEFAULT;
	if (!plan->bulk_pages)
		checkpoint->plan.bulk_pages = BULK_PAGES_DEFAULT;
	if (!plan->log_bytes)
		checkpoint->plan.log_bytes = LOG_BYTES_DEFAULT;
	int status = open_parts(checkpoint, medium, ret_why);
	if (status)
		checkpoint_close(checkpoint);
	else
		*ret_checkpoint = checkpoint;
	return status;
}

void checkpoint_close(struct checkpoint *checkpoint)
{
	annals_deinit(&checkpoint->annals);
	bulk_deinit(&checkpoint->bulk);
	merge_abandon(&checkpoint->merge);
	carry_abandon(&checkpoint->carry);
	patrol_deinit(&checkpoint->patrol);
	home_close(&checkpoint->home);
	log_close(&checkpoint->log);
	if (checkpoint->buffer)
		memory_free(checkpoint->buffer, checkpoint->buffer_bytes);
	memory_free(checkpoint, sizeof(*checkpoint));
}

/* May home's own epoch be offered? Not if a superblock is lost that may have said otherwise. */
static bool has_home_epoch(const struct checkpoint *checkpoint)
{
	const struct anchor *anchor = &checkpoint->anchor;

	return anchor->sb.trim.epoch && anchor->is_trim_certain &&
	       anchor->sb.trim.epoch >= checkpoint->log.epoch_oldest;
}

static bool is_not_passed(const struct log *log, const struct log_epoch *epoch)
{
	return epoch->epoch >= log->epoch_oldest;
}

static void add_epoch(uint64_t epochs[CHECKPOINT_EPOCHS_MAX], unsigned *count, uint64_t epoch)
{
	if (!*count || epochs[*count - 1] > epoch)
		epochs[(*count)++] = epoch;
}

/* Home has not passed what the last run began with, nor the one before: before it does, no
 * superblock says so any more. */
static void add_attached(const struct checkpoint *checkpoint,
			 uint64_t epochs[CHECKPOINT_EPOCHS_MAX], unsigned *count)
{
	const struct log *log = &checkpoint->log;
	const struct anchor *anchor = &checkpoint->anchor;
	size_t i = log->epoch_count;

	while (i && log->epochs[i - 1].epoch > anchor->sb.attached)
		i--;
	if (!i || log->epochs[i - 1].epoch != anchor->sb.attached)
		return;
	for (size_t past = i < 2 ? 0 : i - 2; i-- > past;)
		if (is_not_passed(log, &log->epochs[i]))
			add_epoch(epochs, count, log->epochs[i].epoch);
}

/* The log's newest, and where it has too few, what home holds. */
unsigned checkpoint_epochs(const struct checkpoint *checkpoint,
			   uint64_t ret_epochs[CHECKPOINT_EPOCHS_MAX])
{
	const struct log *log = &checkpoint->log;
	unsigned count = 0;

	for (size_t i = log->epoch_count; i-- > 0 && count < CHECKPOINT_RETAINED;)
		if (is_not_passed(log, &log->epochs[i]))
			add_epoch(ret_epochs, &count, log->epochs[i].epoch);
	if (count < CHECKPOINT_RETAINED && (has_home_epoch(checkpoint) || count == 0) &&
	    checkpoint->epoch)
		add_epoch(ret_epochs, &count, checkpoint->anchor.sb.trim.epoch);
	else if (checkpoint->anchor.sb.attached)
		add_attached(checkpoint, ret_epochs, &count);
	return count;
}

static bool is_retained(const struct checkpoint *checkpoint, uint64_t epoch)
{
	uint64_t epochs[CHECKPOINT_EPOCHS_MAX];
	unsigned count = checkpoint_epochs(checkpoint, epochs);

	for (unsigned i = 0; i < count; i++)
		if (epochs[i] == epoch)
			return true;
	return epoch == checkpoint->epoch;
}

int checkpoint_select(struct checkpoint *checkpoint, uint64_t epoch)
{
	if (epoch == CHECKPOINT_NEWEST)
		epoch = checkpoint->epoch;
	if (!is_retained(checkpoint, epoch))
		return -ENOENT;
	select_epoch(checkpoint, epoch);
	return 0;
}

int checkpoint_page(struct checkpoint *checkpoint, uint32_t region, uint64_t index,
		    void *ret_page)
{
	uint64_t lines[LAYOUT_LINES];

	if (!checkpoint->selected_epoch) { /* an emptied pool may still have its old checksums */
		memset(ret_page, 0, LAYOUT_BLOCK_BYTES);
		return 0;
	}
	return home_image(&checkpoint->home, region_key(region, index), checkpoint->selected_seq,
			  ret_page, lines);
}

uint64_t checkpoint_entry_count(const struct checkpoint *checkpoint)
{
	return checkpoint->annals.pages.count;
}

/* The region's pages that the log says something of at the selected epoch. */
static int collect_pages(const struct checkpoint *checkpoint, uint32_t region, struct queue *queue)
{
	const struct annals *annals = &checkpoint->annals;
	int error = 0;

	for (size_t i = 0; !error && i < annals->pages.capacity; i++) {
		const uint64_t key = annals->pages.entries[i].key;
		if (!key || region_id_of_key(key) != region)
			continue;
		const uint64_t last = annals_find(annals, key, checkpoint->selected_seq);
		if (last != ANNALS_NONE && annals_at(annals, last)->kind != LAYOUT_ENTRY_HOME)
			error = queue_put(queue, key);
	}
	return error;
}

/* In the order of the file, which after a power cut is not in memory; the log was just read. */
int checkpoint_overlay(struct checkpoint *checkpoint, uint32_t region, checkpoint_visit *visit,
		       void *context)
{
	struct queue queue = {0};
	uint64_t lines[LAYOUT_LINES], key;
	char page[LAYOUT_BLOCK_BYTES] __attribute__((aligned(64)));
	int error = collect_pages(checkpoint, region, &queue);

	checkpoint->home.is_log_viewed = true;
	while (!error && queue_take(&queue, &key)) {
		error = home_image(&checkpoint->home, key, checkpoint->selected_seq, page, lines);
		if (!error)
			error = visit(context, region_page_of_key(key), sum_is_zero_page(page), page);
	}
	queue_deinit(&queue);
	return error;
}

struct home_fault checkpoint_fault(const struct checkpoint *checkpoint)
{
	return checkpoint->home.fault;
}

void checkpoint_info(const struct checkpoint *checkpoint, struct checkpoint_info *ret_info)
{
	uint64_t epochs[CHECKPOINT_EPOCHS_MAX];
	unsigned count = checkpoint_epochs(checkpoint, epochs);

	*ret_info = checkpoint->info;
	ret_info->epoch = checkpoint->epoch;
	ret_info->attempt = checkpoint->attempt;
	ret_info->oldest_epoch = count ? epochs[count - 1] : 0;
	ret_info->branch = checkpoint->log.tail.branch;
	ret_info->home_pages = checkpoint->merge.pages;
	ret_info->home_bytes = checkpoint->merge.pages * LAYOUT_BLOCK_BYTES;
	ret_info->log_bytes = log_live_bytes(&checkpoint->log);
	ret_info->damaged_pages = checkpoint->damage.count + checkpoint->damage.more;
	ret_info->damage_error = checkpoint->damage.pages[0].error;
	ret_info->damage = checkpoint->damage.pages[0].fault;
}
