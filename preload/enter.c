/*
 * Entering a pool: from its path to a heap in memory.
 *
 *   keep=none   the file itself is the heap; what an earlier run left is nobody's and given back
 *   keep=heap   the window shows home, pages the log knows better are put over it, and the heap of
 *               the last epoch is there; nothing in the pool changes until the first new epoch
 *   keep=process  enter-process.c
 *
 * The problem with the second: the heap may be 64 GiB, and its program wants to start now. The
 * trick: nothing is read but the log and the few pages the heap looks at; the rest comes when it is
 * touched. The guarantee: whatever is refused here, the pool's epochs are what they were.
 */
#include "engine-parts.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "enter.h"
#include "keep.h"
#include "os.h"
#include "revive.h"
#include "stop.h"

#define HEAP_ROOM 8 /* times its window is what a heap is laid out for: its tables, mostly holes,
		     * take 7 % of the pool then */

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

int enter_open_window(enum window_kind kind, struct refusal *ret_why)
{
	struct pool *pool = &preload.pool;

	return window_open(&preload.window, kind, pool, pool->sb.base, pool_size_bytes(pool), ret_why);
}

int enter_reset_pool(struct refusal *ret_why)
{
	int status = pool_refuse_views(&preload.pool, ret_why);

	if (!status)
		status = pool_reset(&preload.pool, ret_why);
	return status ? status : pool_set_keep(&preload.pool, preload.keep, ret_why);
}

int enter_create_heap(struct refusal *ret_why)
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
	int status = enter_open_window(choice_window_kind, ret_why);

	if (!status && config->is_new)
		status = enter_reset_pool(ret_why);
	if (status)
		return status;
	const int error = pool_empty(&preload.pool);
	if (error)
		return refuse(ret_why, STATUS_FAILED, preload.pool.path, "cannot be emptied: %s; "
			      "make a new pool", strerrordesc_np(-error));
	return enter_create_heap(ret_why);
}

/* ---- keep=heap ---- */

static int refuse_image(const struct heap_finding *found, struct refusal *ret_why)
{
	return refuse(ret_why, STATUS_CORRUPT, preload.pool.path,
		      "the heap at offset 0x%zx: %s: expected %llu, found %llu; try an older epoch with "
		      "--epoch=-1", found->offset, found->what, (unsigned long long)found->expected,
		      (unsigned long long)found->found);
}

/* The heap's first pages, verified, to see what there is before anything is mapped. */
static int read_head(char *ret_head, struct refusal *ret_why)
{
	int error = 0;

	for (uint64_t page = 0; !error && page < HEAP_HEAD_BYTES / LAYOUT_BLOCK_BYTES; page++)
		error = checkpoint_page(engine.checkpoint, CHECKPOINT_REGION_HEAP, page,
					ret_head + page * LAYOUT_BLOCK_BYTES);
	return error ? engine_refuse_page(error, ret_why) : 0;
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
		return engine_refuse_error(error == -ENOSPC ? STATUS_NO_SPACE : STATUS_INCOMPATIBLE,
				    "cannot be mapped", error, ret_why);
	return engine_overlay(ret_why);
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
		return engine_refuse_error(STATUS_INCOMPATIBLE, "the heap does not fit", error, ret_why);
	error = revive_init();
	if (error)
		return engine_refuse_error(STATUS_FAILED, "no memory for its locks", error, ret_why);
	preload.is_resumed = true;
	return 0;
}

/* Nothing in it can be found again: begin anew, with epoch numbers that go on. */
int enter_start_empty(struct refusal *ret_why)
{
	struct checkpoint_info info;

	checkpoint_info(engine.checkpoint, &info);
	if (info.epoch != 0) {
		preload.pool.epoch_seen = info.attempt;
		engine_close();
		int status = enter_reset_pool(ret_why);
		if (!status)
			status = engine_open(ret_why);
		if (status)
			return status;
	}
	return enter_create_heap(ret_why);
}

static int resume_or_start(struct refusal *ret_why)
{
	char *head = os_mmap(NULL, HEAP_HEAD_BYTES, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (os_is_error(head))
		return engine_refuse_error(STATUS_FAILED, "no memory to read its first pages",
				    (int)(intptr_t)head, ret_why);
	int status = read_head(head, ret_why);
	if (!status)
		status = keep_load(engine.checkpoint, preload.pool.path, ret_why);
	if (!status)
		status = heap_image_has_roots(head) || keep_has_regions()
				 ? resume_heap(head, ret_why) : enter_start_empty(ret_why);
	os_munmap(head, HEAP_HEAD_BYTES);
	return status;
}

static int hold_threads(struct refusal *ret_why)
{
	const int error = stop_init();

	return error ? engine_refuse_error(STATUS_FAILED, "no memory for its threads", error, ret_why) : 0;
}

static int attach_heap(const struct config *config, struct refusal *ret_why)
{
	int status = engine_open_epoch(config, ret_why);

	if (!status)
		status = enter_open_window(WINDOW_PRIVATE, ret_why);
	if (!status)
		status = resume_or_start(ret_why);
	if (!status)
		status = engine_attach(ret_why);
	if (!status)
		status = hold_threads(ret_why);
	if (!status)
		status = engine_start_committer(config, NULL, ret_why);
	if (!status && preload.is_resumed)
		preload.resumed_epoch = committer_epoch();
	return status;
}

/* A pool can be made larger at any time, its heap only so far. */
static void tell_room(const struct config *config)
{
	const struct window *window = &preload.window;

	if (config->has_size && heap_limit() < window->size_bytes)
		say(SAY_WARN, preload.pool.path, "has %llu MiB now, of which its heap, made when it had "
		    "less, can use %llu; for more go on in a new pool",
		    (unsigned long long)window->size_bytes >> 20,
		    (unsigned long long)heap_limit() >> 20);
}

int enter_pool(const struct config *config, struct refusal *ret_why)
{
	preload.keep = config->keep == KEEP_UNSET ? KEEP_HEAP : config->keep;
	int status = open_pool(config, ret_why);

	if (!status)
		preload.owner = os_getpid();
	if (!status)
		status = preload.keep == KEEP_NONE	? attach_none(config, ret_why) :
			 preload.keep == KEEP_PROCESS	? enter_process(config, ret_why) :
							  attach_heap(config, ret_why);
	if (!status)
		tell_room(config);
	return status;
}
