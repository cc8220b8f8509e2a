/*
 * The conductor: what happens in which order.
 *
 * A commit stages entries page after page into one buffer. A full buffer is appended as a record
 * without the commit flag; the last one carries it, and from the moment that append is durable
 * the epoch is the one recovery returns to. Only then does the live index learn the new entries:
 * after a failure it still describes the last epoch, and the next commit works from there.
 *
 * Epoch numbers are given at the attempt, not at the success. A failed append may be on media all
 * the same; its number then stands for that cut and for no other.
 */
#include "checkpoint.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "check.h"
#include "delta.h"
#include "home.h"
#include "merge.h"
#include "os.h"
#include "record.h"
#include "recover.h"
#include "roster.h"
#include "shape.h"
#include "sum.h"

#define SEGMENT_BYTES_DEFAULT LAYOUT_SEGMENT_MAX_BYTES
#define LOG_BYTES_DEFAULT (UINT64_C(64) << 20)
#define ENTRY_MAX_BYTES (sizeof(struct layout_entry) + LAYOUT_BLOCK_BYTES)

struct checkpoint {
	struct checkpoint_plan plan;
	struct roster roster;
	struct anchor anchor;
	struct log log;
	struct home home;
	struct index live;     /* pages with entries behind the trim, at the newest epoch */
	struct index staged;   /* of the records of the epoch being committed */
	struct index selected; /* live at an older epoch, for reading */
	uint64_t epoch;        /* newest durable */
	uint64_t attempt;      /* newest number given */
	uint64_t selected_epoch;
	bool is_writer;
	char *buffer;          /* the record being staged */
	uint64_t buffer_bytes;
	struct checkpoint_info info;
};

/* ---- Opening and reading ---- */

static void *memory_new(size_t bytes)
{
	void *memory = os_mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return os_is_error(memory) ? NULL : memory;
}

/* A pool that never kept anything has no log; it gets its shape when its first writer attaches. */
static int open_log(struct checkpoint *checkpoint, struct refusal *ret_why)
{
	const char *name = checkpoint->anchor.medium->name;
	int error = log_open(&checkpoint->log, &checkpoint->anchor, checkpoint->plan.log_bytes);

	if (error)
		return refuse(ret_why, STATUS_CORRUPT, name,
			      "cannot read the log: error %d; look at the disk", -error);
	int status = recover_chain(&checkpoint->log, ret_why);
	if (status)
		return status;
	error = log_index(&checkpoint->log, UINT64_MAX, &checkpoint->live);
	if (error)
		return refuse(ret_why, STATUS_CORRUPT, name,
			      "cannot read the log: error %d; look at the disk", -error);
	return 0;
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
				      "region %u cannot be kept: error %d; use the heapsake that made "
				      "it", region.id, -error);
	}
	return 0;
}

static int open_parts(struct checkpoint *checkpoint, struct medium *medium, struct refusal *ret_why)
{
	int status = anchor_open(&checkpoint->anchor, medium, ret_why);

	if (status)
		return status;
	checkpoint->home = (struct home){
		.anchor = &checkpoint->anchor,
		.log = &checkpoint->log,
		.medium = medium,
		.roster = &checkpoint->roster,
	};
	checkpoint->epoch = checkpoint->anchor.sb.trim.epoch;
	if (checkpoint->anchor.sb.segment_bytes)
		status = open_log(checkpoint, ret_why);
	if (status)
		return status;
	if (checkpoint->log.epoch_count)
		checkpoint->epoch = checkpoint->log.epochs[checkpoint->log.epoch_count - 1].epoch;
	checkpoint->attempt = max_of(checkpoint->anchor.sb.epoch_base,
				     max_of(checkpoint->log.epoch_seen, checkpoint->epoch));
	checkpoint->selected_epoch = checkpoint->epoch;
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
	index_deinit(&checkpoint->live);
	index_deinit(&checkpoint->staged);
	index_deinit(&checkpoint->selected);
	log_close(&checkpoint->log);
	if (checkpoint->buffer)
		os_munmap(checkpoint->buffer, checkpoint->buffer_bytes);
	os_munmap(checkpoint, sizeof(*checkpoint));
}

/* May home's own epoch be offered? Not if a superblock is lost that may have said otherwise. */
static bool has_home_epoch(const struct checkpoint *checkpoint)
{
	const struct anchor *anchor = &checkpoint->anchor;

	return anchor->sb.trim.epoch && anchor->is_trim_certain &&
	       anchor->sb.trim.epoch >= checkpoint->log.epoch_oldest;
}

/* The log's newest, and where it has too few, what home holds. */
unsigned checkpoint_epochs(const struct checkpoint *checkpoint,
			   uint64_t ret_epochs[CHECKPOINT_RETAINED])
{
	const struct log *log = &checkpoint->log;
	unsigned count = 0;

	for (size_t i = log->epoch_count; i-- > 0 && count < CHECKPOINT_RETAINED;)
		if (log->epochs[i].epoch >= log->epoch_oldest)
			ret_epochs[count++] = log->epochs[i].epoch;
	if (count < CHECKPOINT_RETAINED && (has_home_epoch(checkpoint) || count == 0) &&
	    checkpoint->epoch)
		ret_epochs[count++] = checkpoint->anchor.sb.trim.epoch;
	return count;
}

static bool is_retained(const struct checkpoint *checkpoint, uint64_t epoch)
{
	uint64_t epochs[CHECKPOINT_RETAINED];
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
	index_clear(&checkpoint->selected);
	int error = epoch == checkpoint->epoch
			    ? 0 : log_index(&checkpoint->log, epoch, &checkpoint->selected);
	if (!error)
		checkpoint->selected_epoch = epoch;
	return error;
}

static const struct index *selected_entries(const struct checkpoint *checkpoint)
{
	return checkpoint->selected_epoch == checkpoint->epoch ? &checkpoint->live
							       : &checkpoint->selected;
}

int checkpoint_page(struct checkpoint *checkpoint, uint32_t region, uint64_t index,
		    void *ret_page)
{
	const uint64_t key = region_key(region, index);

	if (!checkpoint->anchor.sb.segment_bytes) {
		memset(ret_page, 0, LAYOUT_BLOCK_BYTES);
		return 0;
	}
	return home_image(&checkpoint->home, key, index_find(selected_entries(checkpoint), key), ret_page);
}

uint64_t checkpoint_entry_count(const struct checkpoint *checkpoint)
{
	return selected_entries(checkpoint)->count;
}

int checkpoint_overlay(struct checkpoint *checkpoint, uint32_t region, checkpoint_visit *visit,
		       void *context)
{
	const struct index *entries = selected_entries(checkpoint);
	char page[LAYOUT_BLOCK_BYTES] __attribute__((aligned(64)));
	int error = 0;

	for (size_t i = 0; !error && i < entries->capacity; i++) {
		const struct index_entry *entry = &entries->entries[i];
		if (!entry->key || region_id_of_key(entry->key) != region ||
		    entry->kind == LAYOUT_ENTRY_HOME)
			continue;
		error = home_image(&checkpoint->home, entry->key, entry, page);
		if (!error)
			error = visit(context, region_page_of_key(entry->key), entry->sum == 0, page);
	}
	return error;
}

struct home_fault checkpoint_fault(const struct checkpoint *checkpoint)
{
	return checkpoint->home.fault;
}

/* ---- Attaching ---- */

static int prepare_writer(struct checkpoint *checkpoint)
{
	int error = shape_pool(&checkpoint->anchor,
			       roster_end(&checkpoint->roster, LAYOUT_USE_REGIONS),
			       checkpoint->plan.segment_bytes);

	if (!error && checkpoint->epoch == 0) /* zeros; an emptied pool has checksums still */
		error = shape_forget_sums(&checkpoint->anchor);
	if (!error && !checkpoint->log.buffer)
		error = log_open(&checkpoint->log, &checkpoint->anchor, checkpoint->plan.log_bytes);
	if (!error && !checkpoint->buffer) {
		uint64_t room = checkpoint->log.segment_bytes - LAYOUT_BLOCK_BYTES;
		checkpoint->buffer_bytes = room < LAYOUT_RECORD_MAX_BYTES ? room : LAYOUT_RECORD_MAX_BYTES;
		checkpoint->buffer = memory_new(checkpoint->buffer_bytes);
		error = checkpoint->buffer ? 0 : -ENOMEM;
	}
	/* What is reported as the newest epoch from here on must not be in a page cache only. */
	return error ? error : log_adopt(&checkpoint->log);
}

/* The place an epoch ends at; home's own is the trim. */
static struct layout_trim end_of_epoch(const struct checkpoint *checkpoint, uint64_t number)
{
	const struct log_epoch *epoch = log_find_epoch(&checkpoint->log, number);

	return epoch ? epoch->end : checkpoint->anchor.sb.trim;
}

static int branch_off(struct checkpoint *checkpoint)
{
	struct layout_record *record = (struct layout_record *)checkpoint->buffer;
	const struct layout_trim from = end_of_epoch(checkpoint, checkpoint->selected_epoch);
	uint64_t epochs[CHECKPOINT_RETAINED];
	const unsigned count = checkpoint_epochs(checkpoint, epochs);

	memset(record, 0, sizeof(*record));
	record->epoch = ++checkpoint->attempt;
	record->flags = LAYOUT_RECORD_COMMIT | LAYOUT_RECORD_BRANCH;
	record->branch = checkpoint->log.tail.branch + 1;
	record->image = from.epoch;
	record->oldest = epochs[count - 1];
	int error = index_reserve(&checkpoint->live, checkpoint->selected.count);
	log_rewind(&checkpoint->log, &from);
	if (!error)
		error = log_append(&checkpoint->log, record, true);
	if (error)
		return error;
	log_release_branch(&checkpoint->log, from.seq);
	index_clear(&checkpoint->live);
	checkpoint->epoch = record->epoch;
	checkpoint->selected_epoch = record->epoch;
	return index_put_all(&checkpoint->live, &checkpoint->selected);
}

int checkpoint_attach(struct checkpoint *checkpoint)
{
	int error = prepare_writer(checkpoint);

	if (!error && checkpoint->selected_epoch != checkpoint->epoch)
		error = branch_off(checkpoint);
	checkpoint->is_writer = !error;
	return error;
}

static bool has_home(const struct checkpoint *checkpoint, const struct region *region)
{
	const struct layout_superblock *sb = &checkpoint->anchor.sb;
	const uint64_t bytes = space_bytes(sb, region->home);

	return region->home_offset <= bytes &&
	       region->page_count <= (bytes - region->home_offset) / LAYOUT_BLOCK_BYTES;
}

/* One that is known already: the same, elsewhere in memory? */
static int meet_again(struct checkpoint *checkpoint, const struct region *known,
		      struct region *region)
{
	if (region->page_count != known->page_count || region->home != known->home ||
	    (region->home_offset != UINT64_MAX && region->home_offset != known->home_offset))
		return -EEXIST;
	region->home_offset = known->home_offset;
	roster_move(&checkpoint->roster, region->id, region->address);
	return 0;
}

int checkpoint_add_region(struct checkpoint *checkpoint, struct region *region)
{
	const struct region *known = roster_find(&checkpoint->roster, region->id);
	struct region copy = *region;
	int error = 0;

	if (known)
		return meet_again(checkpoint, known, region);
	if (copy.page_count > LAYOUT_PAGE_MAX)
		return -EINVAL;
	if (copy.home_offset == UINT64_MAX) {
		if (!checkpoint->is_writer || copy.home != LAYOUT_USE_REGIONS)
			return -EINVAL;
		copy.home_offset = roster_end(&checkpoint->roster, LAYOUT_USE_REGIONS);
		error = shape_pool(&checkpoint->anchor,
				   copy.home_offset + copy.page_count * LAYOUT_BLOCK_BYTES,
				   checkpoint->log.segment_bytes);
	} else if (!has_home(checkpoint, &copy) &&
		   (checkpoint->anchor.sb.segment_bytes || copy.home == LAYOUT_USE_HEAP)) {
		return -ERANGE; /* a pool that never kept anything gets its shape at attach */
	}
	if (!error)
		error = roster_add(&checkpoint->roster, &copy);
	if (!error)
		region->home_offset = copy.home_offset;
	return error;
}

/* ---- Merging ---- */

/* Home never passes the oldest retained epoch. */
static const struct log_epoch *merge_target(const struct checkpoint *checkpoint)
{
	const struct log *log = &checkpoint->log;

	return log->epoch_count < CHECKPOINT_RETAINED
		       ? NULL : &log->epochs[log->epoch_count - CHECKPOINT_RETAINED];
}

int checkpoint_merge(struct checkpoint *checkpoint)
{
	const struct log_epoch *target = merge_target(checkpoint);

	CHECK(checkpoint->is_writer);
	if (!target)
		return 0;
	struct log_epoch copy = *target; /* the trim moves the table */
	int error = log_adopt(&checkpoint->log);
	if (!error)
		error = merge_run(&checkpoint->home, &checkpoint->log, &copy);
	if (!error)
		index_forget(&checkpoint->live, checkpoint->anchor.sb.trim.seq);
	return error;
}

int checkpoint_tend(struct checkpoint *checkpoint)
{
	if (log_live_bytes(&checkpoint->log) * 2 < checkpoint->plan.log_bytes)
		return 0;
	return checkpoint_merge(checkpoint);
}

/* ---- Committing ---- */

static struct layout_record *record_begin(struct checkpoint *checkpoint)
{
	struct layout_record *record = (struct layout_record *)checkpoint->buffer;

	memset(record, 0, sizeof(*record));
	record->epoch = checkpoint->attempt;
	return record;
}

/* Appends what is staged. When the log is full, home takes what it may; when that is not enough,
 * the log grows beyond what was wanted. */
static int record_end(struct checkpoint *checkpoint, uint32_t flags)
{
	struct layout_record *record = (struct layout_record *)checkpoint->buffer;

	/* Room first: an epoch that is on media must not fail to be in the index. */
	int error = index_reserve(&checkpoint->staged, record->entry_count);
	if (!error && flags & LAYOUT_RECORD_COMMIT)
		error = index_reserve(&checkpoint->live,
				      checkpoint->staged.count + record->entry_count);
	record->flags = flags;
	if (!error)
		error = log_append(&checkpoint->log, record, false);
	if (error == LOG_E_FULL) {
		checkpoint_merge(checkpoint);
		error = log_append(&checkpoint->log, record, true);
	}
	if (error)
		return error;
	checkpoint->info.record_bytes += record->len;
	return record_index(record, &checkpoint->staged);
}

/* Home's page for the diff. *ret_home is set to NULL where there is none. */
static int read_base(struct checkpoint *checkpoint, uint64_t key, const struct index_entry *live,
		     char *page, const void **ret_home, bool *ret_damaged)
{
	uint64_t sum = 0;
	int error = 0;

	*ret_home = NULL;
	*ret_damaged = false;
	if (live && live->kind == LAYOUT_ENTRY_ZERO)
		return 0;
	if (!live)
		error = home_sum(&checkpoint->home, key, &sum);
	if (error || (!live && sum == 0))
		return error;
	*ret_home = page;
	error = home_read(&checkpoint->home, key, page);
	/* Verified before it is diffed against: a line that rotted would be left out of the mask if it
	 * rotted into what the program stored. */
	*ret_damaged = !error && !live && sum_page(page) != sum;
	return error;
}

static int stage_page(struct checkpoint *checkpoint, uint64_t key, const void *bytes)
{
	static const char zeros[LAYOUT_BLOCK_BYTES];
	char home_page[LAYOUT_BLOCK_BYTES] __attribute__((aligned(64)));
	struct layout_record *record = (struct layout_record *)checkpoint->buffer;
	const struct index_entry *live = index_find(&checkpoint->live, key);
	struct layout_entry entry;
	const void *home;
	bool is_damaged;

	bytes = bytes ? bytes : zeros;
	entry.sum = sum_page(bytes);
	if (live && live->sum == entry.sum)
		return 0; /* as it was at the last epoch */
	int error = read_base(checkpoint, key, live, home_page, &home, &is_damaged);
	if (error)
		return error;
	struct delta delta = delta_of(bytes, home, live);
	if (!live && !is_damaged && delta.mask == 0 && (home == NULL) == (entry.sum == 0))
		return 0; /* as it is in home */
	if (is_damaged && delta.kind == LAYOUT_ENTRY_LINES) {
		delta.mask = UINT64_MAX;
		checkpoint->info.mended_pages++;
	}
	if (sizeof(*record) + record->entry_bytes + ENTRY_MAX_BYTES > checkpoint->buffer_bytes) {
		error = record_end(checkpoint, 0);
		if (error)
			return error;
		record_begin(checkpoint);
	}
	char *at = (char *)(record + 1) + record->entry_bytes;
	entry.key = key | (uint64_t)delta.kind << LAYOUT_ENTRY_KIND_SHIFT;
	entry.mask = delta.mask;
	memcpy(at, &entry, sizeof(entry));
	delta_pack(at + sizeof(entry), bytes, delta.mask);
	record->entry_bytes += sizeof(entry) + delta_bytes(delta.mask);
	record->entry_count++;
	checkpoint->info.pages++;
	return 0;
}

static void epoch_begin(struct checkpoint *checkpoint)
{
	CHECK(checkpoint->is_writer);
	checkpoint->attempt++;
	index_clear(&checkpoint->staged);
	record_begin(checkpoint);
}

static int epoch_end(struct checkpoint *checkpoint, int error, uint64_t *ret_epoch)
{
	const struct layout_record *record = (const struct layout_record *)checkpoint->buffer;
	const bool is_changed = record->entry_count || checkpoint->staged.count;

	if (!error && is_changed)
		error = record_end(checkpoint, LAYOUT_RECORD_COMMIT);
	checkpoint->info.error = error;
	if (error)
		return error;
	if (is_changed) {
		error = index_put_all(&checkpoint->live, &checkpoint->staged);
		checkpoint->epoch = checkpoint->attempt;
		checkpoint->selected_epoch = checkpoint->epoch;
		checkpoint->info.epochs++;
	}
	*ret_epoch = checkpoint->epoch;
	return error;
}

int checkpoint_commit(struct checkpoint *checkpoint, const struct checkpoint_page *pages,
		      size_t page_count, uint64_t *ret_epoch)
{
	int error = 0;

	epoch_begin(checkpoint);
	for (size_t i = 0; !error && i < page_count; i++)
		error = stage_page(checkpoint, region_key(pages[i].region, pages[i].index),
				   pages[i].bytes);
	return epoch_end(checkpoint, error, ret_epoch);
}

int checkpoint_commit_compared(struct checkpoint *checkpoint, uint64_t *ret_epoch)
{
	const struct roster *roster = &checkpoint->roster;
	int error = 0;

	epoch_begin(checkpoint);
	for (uint32_t i = 0; i < roster->count; i++) {
		const struct region *region = &roster->regions[i];
		for (uint64_t page = 0; !error && region->address && page < region->page_count; page++)
			error = stage_page(checkpoint, region_key(region->id, page),
					   region->address + page * LAYOUT_BLOCK_BYTES);
	}
	return epoch_end(checkpoint, error, ret_epoch);
}

void checkpoint_info(const struct checkpoint *checkpoint, struct checkpoint_info *ret_info)
{
	uint64_t epochs[CHECKPOINT_RETAINED];
	unsigned count = checkpoint_epochs(checkpoint, epochs);

	*ret_info = checkpoint->info;
	ret_info->epoch = checkpoint->epoch;
	ret_info->attempt = checkpoint->attempt;
	ret_info->oldest_epoch = count ? epochs[count - 1] : 0;
	ret_info->branch = checkpoint->log.tail.branch;
	ret_info->log_bytes = log_live_bytes(&checkpoint->log);
}
