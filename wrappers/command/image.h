/*
 * A pool's newest epoch, read from media by somebody who does not own it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "checkpoint/checkpoint.h"
#include "flush/medium-file.h"
#include "heap/heap.h"
#include "pool.h"
#include "say.h"

struct image {
	struct pool *pool;
	struct medium_file file;
	struct region regions[CHECKPOINT_PLAN_REGIONS]; /* the heap and the table of the others */
	uint64_t heap_pages;      /* beyond these no epoch ever had one: zeros */
	struct checkpoint *checkpoint;
	struct checkpoint_info info;
};

/* image_read() - open the newest epoch, let `read` look at it, close it. While the pool has an
 * owner that may happen several times: what `read` finds counts when nothing has moved under it,
 * so it starts from nothing each time. 0 or a status with *ret_why, read's own among them. */
typedef int image_reader(void *context, struct image *image, struct refusal *ret_why);
int image_read(struct pool *pool, image_reader *read, void *context, struct refusal *ret_why);

/* image_open() - the same for a pool nobody can own meanwhile (POOL_CHECK); of one region alone, if
 * it is not 0, which is sooner done */
int image_open(struct image *ret_image, struct pool *pool, uint32_t only_region,
	       struct refusal *ret_why);
void image_close(struct image *image);

/* image_pages() - pages [first, first + count) of a region, verified; 0 or STATUS_CORRUPT */
int image_pages(struct image *image, uint32_t region, uint64_t first, uint64_t count,
		void *ret_pages, struct refusal *ret_why);

/* image_refuse_page() - say what checkpoint_page() has returned; image_refuse_heap() - what the
 * heap has found in its own tables */
int image_refuse_page(const struct image *image, int error, struct refusal *ret_why);
int image_refuse_heap(const struct image *image, const struct heap_finding *finding,
		      struct refusal *ret_why);

/* image_used_bytes() - of the heap; head: its first HEAP_HEAD_BYTES */
int image_used_bytes(const struct image *image, const void *head, uint64_t *ret_bytes,
		     struct refusal *ret_why);
