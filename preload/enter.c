/*
 * Entering a pool: from its path to a heap in memory.
 *
 *   keep=none   the file itself is the heap; what an earlier run left is nobody's and given back
 *   keep=heap   the window shows home, pages the log knows better are put over it, and the heap of
 *               the last epoch is there; nothing in the pool changes until the first new epoch
 *
 * The problem with the second: the heap may be 64 GiB, and its program wants to start now. The
 * trick: nothing is read but the log and the few pages the heap looks at; the rest comes when it is
 * touched. The guarantee: whatever is refused here, the pool's epochs are what they were.
 */
#include "preload.h"

#include <errno.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mman.h>

#include "enter.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/committer.h"
#include "checkpoint/track.h"
#include "flush/medium-dax.h"
#include "keep.h"
#include "os.h"
#include "ours.h"
#include "revive.h"
#include "stop.h"

#define HEAP_ROOM 8 /* times its window is what a heap is laid out for: its tables, mostly holes,
		     * take 7 % of the pool then */
/* Copies of what is dirty at the cut, at most. With less, a flood of random stores over a heap of
 * 170 MiB (redis, 100 ms) overran it, and threads stood for half a second while it was written. */
#define STAGING_BYTES (UINT64_C(256) << 20)

/* keep=heap: what stands between the window and the pool. */
static struct {
	struct medium_dax medium;
	struct checkpoint *checkpoint;
	struct track track;
	struct region regions[CHECKPOINT_PLAN_REGIONS];
	size_t region_count;
	enum durability durability; /* in effect */
} engine OURS;

static int refuse_error(enum status status, const char *what, int error, struct refusal *ret_why)
{
	return refuse(ret_why, status, preload.pool.path, "%s: error %d (%s); look at the disk and the "
		      "limits", what, -error, strerrordesc_np(-error));
}

/* Somebody else may create the pool between our look and our creation: then it is just opened. */
static int open_pool(const struct config *config, struct refusal *ret_why)
{
	struct pool *pool = &preload.pool;
	const char *path = config->pool_path;
	int status = 0;

	if (!pool_exists(path))
		status = pool_create(path, &(struct pool_plan){.size_bytes = config->size_bytes},
				     ret_why);
	if (!status || pool_exists(path))
		status = pool_open(pool, path, POOL_OWN, ret_why);
	if (!status && !config->is_new)
		status = pool_set_keep(pool, preload.keep, ret_why);
	if (!status && config->has_size)
		status = pool_grow(pool, config->size_bytes, ret_why);
	return status;
}

static int open_window(enum window_kind kind, struct refusal *ret_why)
{
	struct pool *pool = &preload.pool;

	return window_open(&preload.window, kind, pool, pool->sb.base, pool_size_bytes(pool), ret_why);
}

static int reset_pool(struct refusal *ret_why)
{
	int status = pool_refuse_views(&preload.pool, ret_why);

	if (!status)
		status = pool_reset(&preload.pool, ret_why);
	return status ? status : pool_set_keep(&preload.pool, preload.keep, ret_why);
}

static int create_heap(struct refusal *ret_why)
{
	const struct window *window = &preload.window;
	/* What is kept may be given a larger pool one day. */
	uint64_t size = window->size_bytes * (preload.keep == KEEP_NONE ? 1 : HEAP_ROOM);
	if (size > HEAP_SIZE_MAX && window->size_bytes <= HEAP_SIZE_MAX)
		size = HEAP_SIZE_MAX;
	const int error = heap_create(&memory_of_window, window->base, size, window->size_bytes);

	if (!error)
		return 0;
	return refuse(ret_why, error == -EINVAL ? STATUS_INCOMPATIBLE : STATUS_NO_SPACE,
		      preload.pool.path, "no heap can be made in it: %s; make room",
		      strerrordesc_np(-error));
}

/* ---- keep=none ---- */

/* Emptied last, after all that may be refused. */
static int attach_none(const struct config *config, struct refusal *ret_why)
{
	int status = open_window(choice_window_kind, ret_why);

	if (!status && config->is_new)
		status = reset_pool(ret_why);
	if (status)
		return status;
	const int error = pool_empty(&preload.pool);
	if (error)
		return refuse(ret_why, STATUS_FAILED, preload.pool.path, "cannot be emptied: %s; "
			      "make a new pool", strerrordesc_np(-error));
	return create_heap(ret_why);
}

/* ---- keep=heap ---- */

static void close_engine(void)
{
	if (engine.checkpoint)
		checkpoint_close(engine.checkpoint);
	engine.checkpoint = NULL;
}

static int open_engine(struct refusal *ret_why)
{
	engine.region_count =
		checkpoint_plan_regions(engine.regions, preload.keep,
					pool_size_bytes(&preload.pool) / LAYOUT_BLOCK_BYTES);
	return checkpoint_open(&engine.checkpoint, &engine.medium.file.medium,
			       &(struct checkpoint_plan){.regions = engine.regions,
							 .region_count = engine.region_count},
			       ret_why);
}

/* Absolute, or counted back from the newest. */
static int select_epoch(const struct config *config, struct refusal *ret_why)
{
	uint64_t epochs[CHECKPOINT_EPOCHS_MAX];
	const unsigned count = checkpoint_epochs(engine.checkpoint, epochs);
	int64_t wanted = config->epoch;

	if (!config->has_epoch)
		return 0;
	if (wanted <= 0 && -wanted < (int64_t)count)
		wanted = (int64_t)epochs[-wanted];
	if (wanted > 0 && checkpoint_select(engine.checkpoint, (uint64_t)wanted) == 0)
		return 0;
	if (count == 0)
		return refuse(ret_why, STATUS_INCOMPATIBLE, preload.pool.path,
			      "has no epoch yet, asked for %lld; run without --epoch",
			      (long long)config->epoch);
	return refuse(ret_why, STATUS_INCOMPATIBLE, preload.pool.path,
		      "epoch %lld cannot be had back, %llu to %llu can; choose one of these",
		      (long long)config->epoch, (unsigned long long)epochs[count - 1],
		      (unsigned long long)epochs[0]);
}

static int put_over(void *context, uint64_t page, bool is_zero, const void *bytes)
{
	char *at = preload.window.base + page * LAYOUT_BLOCK_BYTES;

	if (page * LAYOUT_BLOCK_BYTES >= preload.window.size_bytes)
		return -ERANGE;
	if (!window_is_open(&preload.window, page * LAYOUT_BLOCK_BYTES))
		return 0; /* given back since, or never opened: zeros */
	if (is_zero)
		memset(at, 0, LAYOUT_BLOCK_BYTES);
	else
		memcpy(at, bytes, LAYOUT_BLOCK_BYTES);
	return 0;
}

static int refuse_image(const struct heap_finding *found, struct refusal *ret_why)
{
	return refuse(ret_why, STATUS_CORRUPT, preload.pool.path,
		      "the heap at offset 0x%zx: %s: expected %llu, found %llu; try an older epoch with "
		      "--epoch=-1", found->offset, found->what, (unsigned long long)found->expected,
		      (unsigned long long)found->found);
}

static int refuse_page(int error, struct refusal *ret_why)
{
	const struct home_fault fault = checkpoint_fault(engine.checkpoint);

	if (error != CHECKPOINT_E_DAMAGED)
		return refuse_error(STATUS_CORRUPT, "the last epoch cannot be read", error, ret_why);
	return refuse(ret_why, STATUS_CORRUPT, preload.pool.path,
		      "the page at offset %llu of the file is damaged: checksum expected %016llx, found "
		      "%016llx; try an older epoch with --epoch=-1",
		      (unsigned long long)fault.file_offset, (unsigned long long)fault.expected,
		      (unsigned long long)fault.found);
}

/* The heap's first pages, verified, to see what there is before anything is mapped. */
static int read_head(char *ret_head, struct refusal *ret_why)
{
	int error = 0;

	for (uint64_t page = 0; !error && page < HEAP_HEAD_BYTES / LAYOUT_BLOCK_BYTES; page++)
		error = checkpoint_page(engine.checkpoint, CHECKPOINT_REGION_HEAP, page,
					ret_head + page * LAYOUT_BLOCK_BYTES);
	return error ? refuse_page(error, ret_why) : 0;
}

static int show_heap(const char *head, struct refusal *ret_why)
{
	struct heap_extent extents[HEAP_EXTENTS];
	struct heap_finding found;
	int error = 0;

	if (heap_image_extents(head, pool_size_bytes(&preload.pool), extents, &found) != 0)
		return refuse_image(&found, ret_why);
	for (unsigned i = 0; !error && i < HEAP_EXTENTS; i++)
		if (extents[i].len)
			error = window_show_home(&preload.window, extents[i].offset, extents[i].len);
	if (error)
		return refuse_error(error == -ENOSPC ? STATUS_NO_SPACE : STATUS_INCOMPATIBLE,
				    "cannot be mapped", error, ret_why);
	error = checkpoint_overlay(engine.checkpoint, CHECKPOINT_REGION_HEAP, put_over, NULL);
	return error ? refuse_page(error, ret_why) : 0;
}

static int resume_heap(const char *head, struct refusal *ret_why)
{
	const struct window *window = &preload.window;
	struct heap_finding found;
	int status = show_heap(head, ret_why);

	if (status)
		return status;
	int error = heap_attach(&memory_of_window, window->base,
				      pool_size_bytes(&preload.pool), window->size_bytes, &found);
	if (error == HEAP_E_DAMAGED)
		return refuse_image(&found, ret_why);
	if (error)
		return refuse_error(STATUS_INCOMPATIBLE, "the heap does not fit", error, ret_why);
	error = revive_init();
	if (error)
		return refuse_error(STATUS_FAILED, "no memory for its locks", error, ret_why);
	preload.is_resumed = true;
	return 0;
}

/* Nothing in it can be found again: begin anew, with epoch numbers that go on. */
static int start_empty(struct refusal *ret_why)
{
	struct checkpoint_info info;

	checkpoint_info(engine.checkpoint, &info);
	if (info.epoch != 0) {
		preload.pool.epoch_seen = info.attempt;
		close_engine();
		int status = reset_pool(ret_why);
		if (!status)
			status = open_engine(ret_why);
		if (status)
			return status;
	}
	return create_heap(ret_why);
}

static int resume_or_start(struct refusal *ret_why)
{
	char *head = os_mmap(NULL, HEAP_HEAD_BYTES, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (os_is_error(head))
		return refuse_error(STATUS_FAILED, "no memory to read its first pages",
				    (int)(intptr_t)head, ret_why);
	int status = read_head(head, ret_why);
	if (!status)
		status = keep_load(engine.checkpoint, preload.pool.path, ret_why);
	if (!status)
		status = heap_image_has_roots(head) || keep_has_regions()
				 ? resume_heap(head, ret_why) : start_empty(ret_why);
	os_munmap(head, HEAP_HEAD_BYTES);
	return status;
}

/* On tmpfs nothing survives the machine, whatever is asked for. */
static void decide_durability(const struct config *config)
{
	struct statfs fs;

	engine.durability = config->durability;
	if (engine.durability == DURABILITY_CACHE || os_fstatfs(pool_fd(&preload.pool), &fs) != 0 ||
	    fs.f_type != TMPFS_MAGIC)
		return;
	engine.durability = DURABILITY_CACHE;
	say(SAY_WARN, preload.pool.path, "lies on tmpfs: survives kill -9, but not the machine; "
	    "put it on a disk, or set HEAPSAKE_DURABILITY=cache");
}

static int become_writer(struct refusal *ret_why)
{
	int error = checkpoint_attach(engine.checkpoint);

	if (error == -ENOSPC || error == -EDQUOT)
		return refuse(ret_why, STATUS_NO_SPACE, preload.pool.path,
			      "no space for its log: %s; make room", strerrordesc_np(-error));
	if (error)
		return refuse_error(STATUS_CORRUPT, "cannot be written", error, ret_why);
	track_open(&engine.track, TRACK_WP);
	engine.regions[0].address = preload.window.base;
	engine.regions[1].address = (char *)&keep_table;
	error = track_add(&engine.track, preload.window.base, preload.window.size_bytes);
	if (!error)
		error = track_add(&engine.track, &keep_table, sizeof(keep_table));
	return error ? refuse_error(STATUS_FAILED, "cannot be followed", error, ret_why) : 0;
}

static int open_committer(const struct config *config, struct refusal *ret_why)
{
	const int error = committer_open(&(struct committer_plan){
		.pool = &preload.pool,
		.checkpoint = engine.checkpoint,
		.track = &engine.track,
		.regions = engine.regions,
		.region_count = engine.region_count,
		.staging_bytes = STAGING_BYTES,
		.interval_ns = config->interval_ns,
		.durability = engine.durability,
	});
	return error ? refuse_error(STATUS_FAILED, "no memory for its epochs", error, ret_why) : 0;
}

static int hold_threads(struct refusal *ret_why)
{
	const int error = stop_init();

	return error ? refuse_error(STATUS_FAILED, "no memory for its threads", error, ret_why) : 0;
}

/* --new: whatever is in it. Its log, if it can be read, says which epoch numbers were given. */
static int forget_epochs(struct refusal *ret_why)
{
	struct checkpoint_info info;
	struct refusal ignored;

	if (open_engine(&ignored) == 0) {
		checkpoint_info(engine.checkpoint, &info);
		preload.pool.epoch_seen = info.attempt;
		close_engine();
	}
	return reset_pool(ret_why);
}

static int attach_heap(const struct config *config, struct refusal *ret_why)
{
	int status = 0;

	decide_durability(config);
	const int error = medium_dax_open(&engine.medium, &preload.pool, engine.durability);
	if (error)
		return refuse_error(STATUS_FAILED, "cannot be opened for its log", error, ret_why);
	if (config->is_new)
		status = forget_epochs(ret_why);
	if (!status)
		status = open_engine(ret_why);
	if (!status)
		status = select_epoch(config, ret_why);
	if (!status)
		status = open_window(WINDOW_PRIVATE, ret_why);
	if (!status)
		status = resume_or_start(ret_why);
	if (!status)
		status = become_writer(ret_why);
	if (!status)
		status = hold_threads(ret_why);
	if (!status)
		status = open_committer(config, ret_why);
	return status;
}

int enter_pool(const struct config *config, struct refusal *ret_why)
{
	preload.keep = config->keep == KEEP_UNSET ? KEEP_HEAP : config->keep;
	int status = open_pool(config, ret_why);

	if (!status)
		preload.owner = os_getpid();
	if (!status)
		status = preload.keep == KEEP_NONE ? attach_none(config, ret_why) :
						     attach_heap(config, ret_why);
	return status;
}
