/*
 * The problem: whoever reads a pool that is in use reads a log whose segments are taken anew, and
 * homes that are merged into, while he reads. The trick: all bytes are verified by the engine as
 * after a crash, so what is read is wrong only by being of another epoch; and that cannot be as
 * long as the trim has not moved and the epoch read is still retained, for until then the owner
 * touches nothing of it. So look, and look again whether it counted. The guarantee: every page is
 * one that was committed, and all are of one epoch unless epochs come faster than a log is read.
 */
#include "image.h"

#include <string.h>

#include "control.h"
#include "os.h"

#define TRIES 20
#define PAUSE_NS UINT64_C(5000000)

/* Grown by a run that was then refused, a pool has homes that have no checksums yet. */
static uint64_t image_heap_pages(const struct layout_superblock *sb)
{
	uint64_t pages = sb->size_bytes / LAYOUT_BLOCK_BYTES;
	uint64_t sums = space_bytes(sb, LAYOUT_USE_HEAP_SUMS) / sizeof(uint64_t);

	return sb->segment_bytes && sums < pages ? sums : pages;
}

static int image_open_engine(struct image *image, uint32_t only_region, struct refusal *ret_why)
{
	image->heap_pages = image_heap_pages(&image->pool->sb);
	const size_t count = checkpoint_plan_regions(image->regions, image->pool->sb.keep,
						     image->heap_pages);
	const struct checkpoint_plan plan = {
		.regions = image->regions, .region_count = count, .only_region = only_region,
	};

	return checkpoint_open(&image->checkpoint, &image->file.medium, &plan, ret_why);
}

int image_open(struct image *ret_image, struct pool *pool, uint32_t only_region,
	       struct refusal *ret_why)
{
	struct image *image = ret_image;

	*image = (struct image){.pool = pool};
	int status = pool_reload(pool, ret_why);
	if (status)
		return status;
	int error = medium_file_open(&image->file, pool, DURABILITY_CACHE);
	if (error)
		return refuse(ret_why, STATUS_FAILED, pool->path,
			      "cannot be opened again: %s; look at the limits",
			      strerrordesc_np(-error));
	status = image_open_engine(image, only_region, ret_why);
	if (status)
		medium_file_close(&image->file);
	else
		checkpoint_info(image->checkpoint, &image->info);
	return status;
}

void image_close(struct image *image)
{
	checkpoint_close(image->checkpoint);
	medium_file_close(&image->file);
}

enum look {
	LOOK_COUNTS,
	LOOK_MAY_COUNT, /* unless the owner has just been merging what was read */
	LOOK_FAILED,
};

/* Of a look without an error: what can the owner have done meanwhile? */
static enum look image_judge(struct pool *pool, const struct layout_trim *trim, uint64_t epoch)
{
	struct control_snapshot owner;
	struct refusal why;

	if (pool_reload(pool, &why) != 0 || memcmp(&pool->sb.trim, trim, sizeof(*trim)) != 0)
		return LOOK_FAILED;
	if (control_read(pool->control, &owner) == 0 &&
	    owner.status.epoch >= epoch + CHECKPOINT_RETAINED)
		return LOOK_MAY_COUNT;
	return LOOK_COUNTS;
}

static enum look image_look(struct pool *pool, image_reader *read, void *context, int *ret_status,
			    struct refusal *ret_why)
{
	struct image image;

	*ret_status = image_open(&image, pool, 0, ret_why);
	if (*ret_status)
		return LOOK_FAILED;
	const struct layout_trim trim = pool->sb.trim;
	*ret_status = read(context, &image, ret_why);
	image_close(&image);
	return *ret_status ? LOOK_FAILED : image_judge(pool, &trim, image.info.epoch);
}

int image_read(struct pool *pool, image_reader *read, void *context, struct refusal *ret_why)
{
	int status = 0;
	enum look look = LOOK_FAILED;

	for (int tries = 0; tries < TRIES; tries++) {
		bool has_owner = pool_has_owner(pool);
		look = image_look(pool, read, context, &status, ret_why);
		has_owner |= pool_has_owner(pool);
		if (!has_owner || look == LOOK_COUNTS)
			return status;
		os_sleep_ns(PAUSE_NS);
	}
	/* Epochs come faster than a log is read. Each page by itself is right. */
	if (look == LOOK_MAY_COUNT || status)
		return status;
	return refuse(ret_why, STATUS_BUSY, pool->path,
		      "changes faster than it can be read; try again");
}

int image_refuse_page(const struct image *image, int error, struct refusal *ret_why)
{
	const struct home_fault fault = checkpoint_fault(image->checkpoint);

	if (error != CHECKPOINT_E_DAMAGED)
		return refuse(ret_why, STATUS_CORRUPT, image->pool->path,
			      "cannot be read: %s; look at the disk", strerrordesc_np(-error));
	return refuse(ret_why, STATUS_CORRUPT, image->pool->path,
		      "page at offset %llu: found checksum %016llx, expected %016llx; "
		      "look with 'heapsake check --deep'",
		      (unsigned long long)fault.file_offset, (unsigned long long)fault.found,
		      (unsigned long long)fault.expected);
}

int image_pages(struct image *image, uint32_t region, uint64_t first, uint64_t count,
		void *ret_pages, struct refusal *ret_why)
{
	char *at = ret_pages;

	for (uint64_t i = 0; i < count; i++, at += LAYOUT_BLOCK_BYTES) {
		if (region == CHECKPOINT_REGION_HEAP && first + i >= image->heap_pages) {
			memset(at, 0, LAYOUT_BLOCK_BYTES);
			continue;
		}
		int error = checkpoint_page(image->checkpoint, region, first + i, at);
		if (error)
			return image_refuse_page(image, error, ret_why);
	}
	return 0;
}

int image_refuse_heap(const struct image *image, const struct heap_finding *finding,
		      struct refusal *ret_why)
{
	return refuse(ret_why, STATUS_CORRUPT, image->pool->path,
		      "heap at offset %zu: %s: found %llu, expected %llu; "
		      "look with 'heapsake check'",
		      finding->offset, finding->what, (unsigned long long)finding->found,
		      (unsigned long long)finding->expected);
}

int image_used_bytes(const struct image *image, const void *head, uint64_t *ret_bytes,
		     struct refusal *ret_why)
{
	struct heap_extent extents[HEAP_EXTENTS];
	struct heap_finding finding;

	if (heap_image_extents(head, image->pool->sb.size_bytes, extents, &finding) != 0)
		return image_refuse_heap(image, &finding, ret_why);
	*ret_bytes = 0;
	for (unsigned i = 0; i < HEAP_EXTENTS; i++)
		*ret_bytes += extents[i].len;
	return 0;
}
