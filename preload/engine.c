/*
 * The engine between a pool and the memory that is kept: opened, an epoch chosen, made the writer,
 * handed to the committer. What is kept beside the heap is the business of whoever calls.
 */
#include "engine-parts.h"

#include <errno.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "keep.h"
#include "os.h"
#include "ours.h"

/* Copies of what is dirty at the cut, at most. With less, a flood of random stores over a heap of
 * 170 MiB (redis, 100 ms) overran it, and threads stood for half a second while it was written. */
#define STAGING_BYTES (UINT64_C(256) << 20)

struct engine engine OURS;

int engine_refuse_error(enum status status, const char *what, int error, struct refusal *ret_why)
{
	struct rlimit limit;

	if (error == -ENOMEM && os_getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
		return refuse(ret_why, status, preload.pool.path, "%s: no addresses are left of %llu KiB; "
			      "raise ulimit -v", what, (unsigned long long)limit.rlim_cur >> 10);
	return refuse(ret_why, status, preload.pool.path, "%s: error %d (%s); look at the disk and the "
		      "limits", what, -error, strerrordesc_np(-error));
}

void engine_close(void)
{
	if (engine.checkpoint)
		checkpoint_close(engine.checkpoint);
	engine.checkpoint = NULL;
}

int engine_open(struct refusal *ret_why)
{
	engine.region_count =
		checkpoint_plan_regions(engine.regions, preload.keep,
					pool_size_bytes(&preload.pool) / LAYOUT_BLOCK_BYTES);
	return checkpoint_open(&engine.checkpoint, &engine.medium.file.medium,
			       &(struct checkpoint_plan){.regions = engine.regions,
							 .region_count = engine.region_count},
			       ret_why);
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

int engine_refuse_page(int error, struct refusal *ret_why)
{
	const struct home_fault fault = checkpoint_fault(engine.checkpoint);

	if (error != CHECKPOINT_E_DAMAGED)
		return engine_refuse_error(STATUS_CORRUPT, "the last epoch cannot be read", error, ret_why);
	return refuse(ret_why, STATUS_CORRUPT, preload.pool.path,
		      "the page at offset %llu of the file is damaged: checksum expected %016llx, found "
		      "%016llx; try an older epoch with --epoch=-1",
		      (unsigned long long)fault.file_offset, (unsigned long long)fault.expected,
		      (unsigned long long)fault.found);
}

int engine_overlay(struct refusal *ret_why)
{
	const int error = checkpoint_overlay(engine.checkpoint, CHECKPOINT_REGION_HEAP, put_over, NULL);

	return error ? engine_refuse_page(error, ret_why) : 0;
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

int engine_attach(struct refusal *ret_why)
{
	int error = checkpoint_attach(engine.checkpoint);

	if (error == -ENOSPC || error == -EDQUOT || error == -EFBIG)
		return refuse(ret_why, STATUS_NO_SPACE, preload.pool.path,
			      "no space for its log: %s; make room", strerrordesc_np(-error));
	if (error)
		return engine_refuse_error(STATUS_CORRUPT, "cannot be written", error, ret_why);
	track_open(engine.track, TRACK_WP);
	engine.regions[0].address = preload.window.base;
	error = track_add(engine.track, preload.window.base, preload.window.size_bytes);
	engine.track->lasting = preload.window.base;
	if (preload.keep == KEEP_HEAP) /* else it is memory like any other */
		engine.regions[1].address = (char *)&keep_table;
	if (!error && engine.regions[1].address)
		error = track_add(engine.track, &keep_table, sizeof(keep_table));
	return error ? engine_refuse_error(STATUS_FAILED, "cannot be followed", error, ret_why) : 0;
}

int engine_start_committer(const struct config *config, const struct committer_memory *memory,
			   struct refusal *ret_why)
{
	const int error = committer_open(&(struct committer_plan){
		.pool = &preload.pool,
		.checkpoint = engine.checkpoint,
		.track = engine.track,
		.regions = engine.regions,
		.region_count = engine.region_count,
		.staging_bytes = STAGING_BYTES,
		.interval_ns = config->interval_ns,
		.durability = engine.durability,
		.memory = memory,
		.at_cut = heap_begin_epoch,
		.verify = choice_verify,
	});
	return error ? engine_refuse_error(STATUS_FAILED, "no memory for its epochs", error, ret_why) : 0;
}

/* --new: whatever is in it. Its log, if it can be read, says which epoch numbers were given. */
static int forget_epochs(struct refusal *ret_why)
{
	struct checkpoint_info info;
	struct refusal ignored;

	if (engine_open(&ignored) == 0) {
		checkpoint_info(engine.checkpoint, &info);
		preload.pool.epoch_seen = info.attempt;
		engine_close();
	}
	return enter_reset_pool(ret_why);
}

int engine_open_epoch(const struct config *config, struct refusal *ret_why)
{
	uint64_t epoch;
	int status = 0;

	engine.track = os_mmap(NULL, sizeof(*engine.track), PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (os_is_error(engine.track))
		return engine_refuse_error(STATUS_FAILED, "no memory to follow it",
					   (int)(intptr_t)engine.track, ret_why);
	decide_durability(config);
	const int error = medium_dax_open(&engine.medium, &preload.pool, engine.durability);
	if (error)
		return engine_refuse_error(STATUS_FAILED, "cannot be opened for its log", error, ret_why);
	if (config->is_new)
		status = forget_epochs(ret_why);
	if (!status)
		status = engine_open(ret_why);
	if (!status && config->has_epoch)
		status = checkpoint_choose(engine.checkpoint, preload.pool.path, config->epoch, &epoch, ret_why);
	return status;
}
