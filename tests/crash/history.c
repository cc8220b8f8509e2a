#include "history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint/sum.h"
#include "os-x86_64.h"
#include "superblock.h"

#define PAGE LAYOUT_BLOCK_BYTES
#define FIRST_REGION_PAGES 16u

void (*history_violation)(const struct history *history, const char *fact, uint64_t a, uint64_t b);

static uint64_t carried;

uint64_t history_carried(void)
{
	return carried;
}

static void let_go(struct history *history)
{
	struct checkpoint_info info;

	history->is_held = false;
	if (!history->checkpoint)
		return;
	checkpoint_info(history->checkpoint, &info);
	carried += info.carried_rounds;
	checkpoint_close(history->checkpoint);
	history->checkpoint = NULL;
}

void history_init(struct history *history, struct disk *disk)
{
	*history = (struct history){.disk = disk, .memory = aligned_alloc(PAGE, HISTORY_PAGES * PAGE)};
	if (!history->memory)
		exit(2);
}

static uint64_t hash_memory(const char *memory)
{
	return sum_bytes(memory, HISTORY_PAGES * PAGE, 0);
}

static void shape_regions(struct history *history)
{
	static const uint32_t ids[] = {CHECKPOINT_REGION_HEAP, CHECKPOINT_REGION_TABLE};
	uint64_t first = 0;

	for (unsigned i = 0; i < 2; i++) {
		uint64_t count = i == 0 ? FIRST_REGION_PAGES : HISTORY_PAGES - FIRST_REGION_PAGES;
		history->regions[i] = (struct region){
			.id = ids[i],
			.address = history->memory + first * PAGE,
			.page_count = count,
			.home = i == 0 ? LAYOUT_USE_HEAP : LAYOUT_USE_REGIONS,
		};
		first += count;
	}
	history->plan.regions = history->regions;
	history->plan.region_count = 2;
}

static void make_pool(struct disk *disk, uint64_t seed)
{
	struct layout_superblock sb = {
		.magic = LAYOUT_MAGIC,
		.machine = OS_ELF_MACHINE,
		.endianness = 1,
		.word_class = 2,
		.page_bytes = 4096,
		.base = LAYOUT_BASE_DEFAULT,
		.size_bytes = LAYOUT_HEAP_MIN_BYTES,
		.extent_count = 1,
		.extents = {{LAYOUT_HEAD_BYTES, LAYOUT_HEAP_MIN_BYTES, LAYOUT_USE_HEAP, 0}},
	};

	memcpy(sb.uuid, &seed, sizeof(seed));
	disk_empty(disk, LAYOUT_HEAD_BYTES + LAYOUT_HEAP_MIN_BYTES);
	for (sb.seq = 1; sb.seq <= 2; sb.seq++) {
		sb.checksum = superblock_checksum(&sb);
		disk_put(disk, &sb, sizeof(sb), (sb.seq & 1) * LAYOUT_BLOCK_BYTES);
	}
}

/* Loads the selected epoch. */
static void load(const struct history *history, struct checkpoint *checkpoint, char *memory)
{
	for (unsigned i = 0, page = 0; i < 2; i++)
		for (uint64_t index = 0; index < history->regions[i].page_count; index++, page++) {
			int error = checkpoint_page(checkpoint, history->regions[i].id, index,
						    memory + page * PAGE);
			if (error)
				history_violation(history, "a page of the recovered epoch is damaged",
						  page, (uint64_t)error);
		}
}

static void verify_epoch(const struct history *history, struct checkpoint *checkpoint,
			 uint64_t epoch, char *memory)
{
	int error = checkpoint_select(checkpoint, epoch);

	if (error)
		history_violation(history, "a retained epoch cannot be read", epoch, (uint64_t)error);
	load(history, checkpoint, memory);
	const struct oracle *oracle = &history->oracle;
	const uint64_t hash = hash_memory(memory);
	const bool is_other = oracle->other_cut && epoch == oracle->cut && hash == oracle->other_hash;
	if (epoch >= HISTORY_EPOCHS || (hash != oracle->hash[epoch] && !is_other))
		history_violation(history, "an epoch is not what its cut was", epoch,
				  history->oracle.acked);
}

static void verify_bounds(const struct history *history, uint64_t epoch)
{
	if (epoch < history->oracle.acked)
		history_violation(history, "an acknowledged epoch is lost", epoch,
				  history->oracle.acked);
	if (epoch > history->oracle.cut && epoch > history->oracle.other_cut)
		history_violation(history, "an epoch was found that never was", epoch,
				  history->oracle.cut);
}

static void verify_retained(const struct history *history, struct checkpoint *checkpoint)
{
	static char memory[HISTORY_PAGES * PAGE];
	uint64_t epochs[CHECKPOINT_EPOCHS_MAX];
	unsigned count = checkpoint_epochs(checkpoint, epochs);

	for (unsigned i = 0; i < count; i++)
		verify_epoch(history, checkpoint, epochs[i], memory);
}

uint64_t history_verify(const struct history *history, struct disk *image, bool with_retained)
{
	static char memory[HISTORY_PAGES * PAGE];
	struct checkpoint *checkpoint;
	struct checkpoint_info info;
	struct refusal why;

	image->is_read_only = true;
	if (checkpoint_open(&checkpoint, &image->medium, &history->plan, &why)) {
		fprintf(stderr, "%s\n", why.line);
		history_violation(history, "recovery refuses a legal crash image", 0, 0);
	}
	checkpoint_info(checkpoint, &info);
	verify_bounds(history, info.epoch);
	verify_epoch(history, checkpoint, info.epoch, memory);
	if (with_retained)
		verify_retained(history, checkpoint);
	checkpoint_close(checkpoint);
	if (image->was_written)
		history_violation(history, "recovery wrote", 0, 0);
	image->is_read_only = false;
	return info.epoch;
}

/* ---- The program ---- */

static void choose_start(struct history *history, struct checkpoint *checkpoint, bool is_branch)
{
	uint64_t epochs[CHECKPOINT_EPOCHS_MAX];
	unsigned count = checkpoint_epochs(checkpoint, epochs);
	struct checkpoint_info info;
	uint64_t epoch = CHECKPOINT_NEWEST;

	/* One doubt at a time: not while the numbers of a branch before are open. */
	if (is_branch && count > 1 && !history->oracle.other_cut)
		epoch = epochs[1 + random_below(&history->random, count - 1)];
	if (epoch == CHECKPOINT_NEWEST)
		epoch = count ? epochs[0] : 0;
	verify_epoch(history, checkpoint, epoch, history->memory);
	checkpoint_info(checkpoint, &info);
	if (count && epoch != epochs[0]) { /* the branch record is an epoch of its own */
		history->oracle.other_cut = history->oracle.cut;
		history->oracle.other_hash = history->oracle.hash[info.attempt + 1];
		history->oracle.cut = info.attempt + 1;
		history->oracle.hash[info.attempt + 1] = history->oracle.hash[epoch];
	}
}

static int overlay_page(void *context, uint64_t index, bool is_zero, const void *page)
{
	if (is_zero)
		memset((char *)context + index * PAGE, 0, PAGE);
	else
		memcpy((char *)context + index * PAGE, page, PAGE);
	return 0;
}

/* What a lazy attach maps is what was kept, down to pages that count as zeros. */
static void verify_home(const struct history *history)
{
	static char home[FIRST_REGION_PAGES * PAGE];

	memcpy(home, history->disk->view + LAYOUT_HEAD_BYTES, sizeof(home));
	if (checkpoint_overlay(history->checkpoint, CHECKPOINT_REGION_HEAP, overlay_page, home))
		history_violation(history, "the overlay is damaged", 0, 0);
	for (unsigned i = 0; i < FIRST_REGION_PAGES; i++)
		if (memcmp(home + i * PAGE, history->memory + i * PAGE, PAGE) != 0)
			history_violation(history, "home and overlay are not what was kept", i, 0);
}

static void start(struct history *history, bool is_branch)
{
	struct checkpoint_info info;
	struct refusal why;

	if (checkpoint_open(&history->checkpoint, &history->disk->medium, &history->plan, &why)) {
		fprintf(stderr, "%s\n", why.line);
		history_violation(history, "a restart is refused", 0, 0);
	}
	checkpoint_info(history->checkpoint, &info);
	verify_bounds(history, info.epoch);
	const bool is_doubt_old = history->oracle.other_cut != 0;
	choose_start(history, history->checkpoint, is_branch);
	memset(history->dirty, 0, sizeof(history->dirty));
	memset(history->drafted, 0, sizeof(history->drafted));
	const uint64_t attempt = info.attempt;
	history->is_attaching = true;
	int error = checkpoint_attach(history->checkpoint);
	history->is_attaching = false;
	checkpoint_info(history->checkpoint, &info);
	if (error && !is_doubt_old && info.attempt == attempt && history->oracle.other_cut) {
		history->oracle.hash[history->oracle.cut] = history->oracle.other_hash;
		history->oracle.cut = history->oracle.other_cut;
	}
	if (!error || !is_doubt_old)
		history->oracle.other_cut = 0;
	if (error) {
		checkpoint_close(history->checkpoint);
		history->checkpoint = NULL; /* the disk fails: the next step tries again */
		return;
	}
	history->oracle.acked = info.epoch;
	verify_home(history);
}

/* Forked children see home: not a byte may change before the last of them is gone. */
static uint64_t hash_home(const struct history *history)
{
	return sum_bytes(history->disk->view + LAYOUT_HEAD_BYTES, FIRST_REGION_PAGES * PAGE, 0);
}

static void hold(struct history *history, unsigned hold)
{
	const bool is_held = hold & CHECKPOINT_STILL;

	if (is_held && !history->is_held)
		history->home_hash = hash_home(history);
	history->is_held = is_held;
	checkpoint_hold(history->checkpoint, hold);
}

/* Children of the process before live on. */
static void restart(struct history *history, bool is_branch)
{
	const bool was_held = history->is_held;

	let_go(history);
	start(history, is_branch);
	if (was_held && history->checkpoint)
		hold(history, CHECKPOINT_STILL);
}

void history_begin(struct history *history, uint64_t seed)
{
	history->random = seed * UINT64_C(0x100000001b3) + 1;
	history->depth = 0;
	history->is_held = false;
	history->step = 0;
	history->oracle = (struct oracle){0};
	shape_regions(history);
	history->plan.segment_bytes = UINT64_C(16384) << random_below(&history->random, 3);
	history->plan.log_bytes = history->plan.segment_bytes * (3 + random_below(&history->random, 4));
	history->plan.step_pages = 1 + random_below(&history->random, 6);
	history->plan.bulk_pages = UINT64_C(1) << random_below(&history->random, 5);
	memset(history->memory, 0, HISTORY_PAGES * PAGE);
	history->oracle.hash[0] = hash_memory(history->memory);
	make_pool(history->disk, seed);
	history->disk->random = seed + 7;
}

void history_resume(struct history *history, const struct history *before, uint64_t seed)
{
	history->random = seed;
	history->depth = before->depth + 1;
	history->is_attaching = false;
	history->is_held = false;
	history->step = 0;
	history->oracle = before->oracle;
	shape_regions(history);
	history->plan.segment_bytes = before->plan.segment_bytes;
	history->plan.log_bytes = before->plan.log_bytes;
	history->plan.bulk_pages = before->plan.bulk_pages;
	history->plan.step_pages = before->plan.step_pages;
	history->disk->random = seed + 7;
}

void history_end(struct history *history)
{
	let_go(history);
}

/* Few pages and few values, so that things change and change back. */
static void store(struct history *history, char action)
{
	unsigned page = random_below(&history->random, random_below(&history->random, 4) ? 5 : HISTORY_PAGES);
	char *at = history->memory + page * PAGE;
	char value = (char)random_below(&history->random, 3);

	history->dirty[page] = true;
	history->drafted[page] = false;
	if (action == 'z') {
		memset(at, 0, PAGE);
	} else if (action == 'S') {
		for (unsigned i = 0; i < PAGE; i += 64)
			memset(at + i, (int)random_below(&history->random, 3), 64);
	} else {
		memset(at + 64 * random_below(&history->random, 3), value, 64);
		if (random_below(&history->random, 2))
			at[64 * random_below(&history->random, 64) + 5] = value;
	}
}

static struct checkpoint_page page_of(const struct history *history, unsigned i)
{
	const bool is_second = i >= FIRST_REGION_PAGES;

	return (struct checkpoint_page){
		.region = history->regions[is_second].id,
		.index = is_second ? i - FIRST_REGION_PAGES : i,
		.bytes = history->memory + i * PAGE,
	};
}

static void draft(struct history *history)
{
	for (unsigned i = 0; i < HISTORY_PAGES; i++) {
		const struct checkpoint_page page = page_of(history, i);
		if (history->dirty[i] && random_below(&history->random, 4))
			history->drafted[i] = checkpoint_draft(history->checkpoint, &page) == 0;
	}
}

static int commit_dirty(struct history *history, uint64_t *ret_epoch)
{
	struct checkpoint_page pages[HISTORY_PAGES];
	size_t count = 0;

	for (unsigned i = 0; i < HISTORY_PAGES; i++) {
		const bool is_told = history->drafted[i] && random_below(&history->random, 4);
		if (history->dirty[i] && !is_told)
			pages[count++] = page_of(history, i);
	}
	return checkpoint_commit(history->checkpoint, pages, count, ret_epoch);
}

static void commit(struct history *history, bool is_compared)
{
	struct checkpoint_info info;
	uint64_t epoch;

	checkpoint_info(history->checkpoint, &info);
	if (info.attempt + 2 >= HISTORY_EPOCHS)
		return;
	history->oracle.cut = info.attempt + 1;
	history->oracle.hash[info.attempt + 1] = hash_memory(history->memory);
	int error = is_compared ? checkpoint_commit_compared(history->checkpoint, &epoch)
				: commit_dirty(history, &epoch);
	memset(history->drafted, 0, sizeof(history->drafted));
	if (error > 0)
		history_violation(history, "a commit meets damage", (uint64_t)error, 0);
	if (error)
		return;
	if (epoch != info.attempt + 1 &&
	    history->oracle.hash[epoch] != hash_memory(history->memory))
		history_violation(history, "a change was taken for none", epoch, 0);
	if (epoch < history->oracle.acked)
		history_violation(history, "an epoch went back", epoch, history->oracle.acked);
	history->oracle.acked = epoch;
	memset(history->dirty, 0, sizeof(history->dirty));
}

/* One more region, of which no epoch tells anything: the pool's spaces grow. */
static void add_region(struct history *history)
{
	struct region region = {
		.id = 100 + random_below(&history->random, 2),
		.page_count = 600,
		.home = LAYOUT_USE_REGIONS,
		.home_offset = UINT64_MAX,
	};
	const bool is_healthy = history->disk->fault == DISK_FAULT_NONE;
	int error = checkpoint_add_region(history->checkpoint, &region);

	if (error && is_healthy)
		history_violation(history, "no room for a region", region.id, (uint64_t)-error);
	if (!error && region.home_offset < (HISTORY_PAGES - FIRST_REGION_PAGES) * PAGE)
		history_violation(history, "regions share a home", region.id, region.home_offset);
}

static void fail_calls(struct history *history, enum disk_fault fault, uint32_t count)
{
	history->disk->fault = fault;
	history->disk->fault_from = history->disk->calls + random_below(&history->random, 8);
	history->disk->fault_until = history->disk->fault_from + count;
}

static void verify_held(const struct history *history)
{
	if (history->is_held && hash_home(history) != history->home_hash)
		history_violation(history, "home has changed while it was held", 0, 0);
}

static void found(uint32_t region, uint64_t page)
{
}

/* At any time, whatever has failed or is half done: a pool that nobody has damaged is not. */
static void patrol(const struct history *history)
{
	struct checkpoint_info info;

	if (!history->checkpoint)
		return;
	checkpoint_patrol(history->checkpoint, found);
	checkpoint_info(history->checkpoint, &info);
	if (info.damaged_pages)
		history_violation(history, "a page at rest is called damaged", info.damage.file_offset,
				  info.damage.found);
}

void history_step(struct history *history, char action)
{
	history->step++;
	if (!history->checkpoint) { /* only a disk that fails refuses a start */
		const bool is_healthy = history->disk->fault == DISK_FAULT_NONE;
		restart(history, false);
		if (!history->checkpoint && is_healthy)
			history_violation(history, "cannot attach to a healthy disk", 0, 0);
	}
	switch (action) {
	case 'k':
	case 'b':
		restart(history, action == 'b');
		break;
	case 'f':
		fail_calls(history, DISK_FAULT_EIO, 1);
		break;
	case 'p':
		fail_calls(history, DISK_FAULT_EIO, 1);
		history->disk->fault_from = history->disk->calls + random_below(&history->random, 4);
		history->disk->fault_until = history->disk->fault_from + 1;
		break;
	case 'F':
		fail_calls(history, DISK_FAULT_EIO, 30);
		break;
	case 'y':
		history->disk->fault = DISK_FAULT_SYNC;
		break;
	case 'x':
		history->disk->fault = DISK_FAULT_APPEND;
		break;
	case 'n':
		fail_calls(history, DISK_FAULT_NO_SPACE, 10);
		break;
	case 'h':
		history->disk->fault = DISK_FAULT_NONE;
		break;
	default:
		if (!history->checkpoint)
			break;
		if (action == 'c' || action == 'a')
			commit(history, action == 'a');
		else if (action == 't')
			checkpoint_tend(history->checkpoint);
		else if (action == 'e')
			checkpoint_finish(history->checkpoint);
		else if (action == 'd')
			draft(history);
		else if (action == 'l')
			hold(history, random_below(&history->random, 4));
		else if (action == 'w' || action == 'o')
			hold(history, action == 'w' ? CHECKPOINT_STILL : CHECKPOINT_FREE);
		else if (action == 'r')
			add_region(history);
		else if (action == 'm')
			checkpoint_merge(history->checkpoint);
		else
			store(history, action);
	}
	verify_held(history);
	patrol(history);
}
