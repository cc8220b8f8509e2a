/*
 * The pool is held against owners while it is read, so that what is read is the last word of who
 * owned it: a program that is still dying may just be writing that it has ended.
 */
#include "past.h"

#include <stdlib.h>

#include "image.h"
#include "pool.h"

int past_read_image(struct past *past, struct image *image, struct refusal *ret_why)
{
	const uint64_t bytes = CHECKPOINT_STATE_PAGES * (uint64_t)LAYOUT_BLOCK_BYTES;

	past->state = calloc(1, bytes);
	if (!past->state)
		return refuse(ret_why, STATUS_LAUNCH, image->pool->path, "out of memory; try again");
	const int error = checkpoint_pages(image->checkpoint, CHECKPOINT_REGION_STATE, 0,
					   CHECKPOINT_STATE_PAGES, past->state);
	if (error)
		return image_refuse_page(image, error, ret_why);
	if (!past_parse(past, (struct ledger_reader){past->state, bytes, 0}))
		return refuse(ret_why, STATUS_CORRUPT, image->pool->path,
			      "epoch %llu does not say what was running; try an older one with --epoch=-1",
			      (unsigned long long)past->epoch);
	return 0;
}

int past_check(struct image *image, struct refusal *ret_why)
{
	struct past past = {.epoch = image->info.epoch};
	const int status = past_read_image(&past, image, ret_why);

	past_forget(&past);
	return status;
}

static int read_epoch(struct past *ret_past, struct pool *pool, int64_t epoch,
		      struct refusal *ret_why)
{
	struct image image;
	int status = image_open(&image, pool, CHECKPOINT_REGION_STATE, ret_why);

	if (status)
		return status;
	if (image.info.epoch || epoch)
		status = checkpoint_choose(image.checkpoint, pool->path, epoch, &ret_past->epoch,
					   ret_why);
	if (!status && image.info.epoch)
		status = past_read_image(ret_past, &image, ret_why);
	image_close(&image);
	return status;
}

int past_read(struct past *ret_past, const char *path, int64_t epoch, struct refusal *ret_why)
{
	static struct pool pool;

	*ret_past = (struct past){.kind = PAST_NONE};
	if (!pool_exists(path))
		return 0;
	int status = pool_open(&pool, path, POOL_CHECK, ret_why);
	if (status)
		return status;
	if (pool.sb.keep == KEEP_PROCESS)
		status = read_epoch(ret_past, &pool, epoch, ret_why);
	pool_close(&pool);
	return status;
}
