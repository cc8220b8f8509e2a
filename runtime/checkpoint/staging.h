/*
 * Staging: copies of written pages, from pre-copy to commit. Room-private; the committer's.
 *
 * Each page of the next epoch once, with its newest copy. A failed commit changes nothing here:
 * what is staged is given again, together with what is staged after it. Only then, at
 * staging_clear(), is the epoch over.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "checkpoint.h"

struct staging_place;

/* One thread at a time. No errno, no TLS, no malloc: anonymous memory, had as it is needed.
 *
 * page_count pages; those with bytes have a slot each: slot_count slots of 4 KiB in chunks, of
 * which those below slot_used have been given out once; those returned since hang on slot_free.
 * A place with this generation leads to pages[place->page]; others are empty. */
struct staging {
	size_t limit_bytes; /* may be changed at any time; less than is staged: nothing fits */
	struct checkpoint_page *pages;
	size_t page_count;
	size_t page_capacity;
	size_t pointed_count; /* pages without a slot, read where they are */
	struct staging_place *places; /* hash table; a power of two, at least half of it empty */
	size_t place_capacity;
	uint32_t generation;
	char **chunks;
	size_t chunk_count;
	size_t chunk_capacity;
	size_t slot_used;
	size_t copy_count; /* slots that hold a page */
	size_t kept_chunks; /* not given back: what epochs of late have needed */
	void **slot_free;
};

/* staging_open() - takes no memory yet */
void staging_open(struct staging *ret_staging, size_t limit_bytes);
void staging_close(struct staging *staging);

/* staging_put() - stage a page as it is now, in place of an earlier copy of it; source NULL: it is
 * zeros. Zeros take no copy. The source may be stored to meanwhile: the copy is then half of that
 * store, and must be replaced before the commit. 0; -ENOSPC: over the limit, -ENOMEM: then the
 * page is staged as before (an earlier copy, or not at all). */
int staging_put(struct staging *staging, uint32_t region, uint64_t index, const void *source);

/* staging_has() - is the page staged? Its copy may be an old one, after a put without room. */
bool staging_has(const struct staging *staging, uint32_t region, uint64_t index);

/* staging_point() - stage a page where it is, without a copy, whatever the limit: nobody may store
 * to it until staging_clear() or staging_unpoint(). 0; -ENOMEM.
 * staging_unpoint() - give up all pages that were pointed at, telling which. */
int staging_point(struct staging *staging, uint32_t region, uint64_t index, const void *source);
void staging_unpoint(struct staging *staging,
		     void (*visit)(void *context, uint32_t region, uint64_t index), void *context);

/* staging_pages() - what is staged, in no order; valid until the next put or clear */
static inline const struct checkpoint_page *staging_pages(const struct staging *staging,
							  size_t *ret_count)
{
	*ret_count = staging->page_count;
	return staging->pages;
}

/* staging_clear() - all of it is durable. Memory that the last epochs have not used goes back, a
 * part each time: call it when an epoch was empty, too. */
void staging_clear(struct staging *staging);

/* staging_bytes() - memory in use, as the limit counts it */
size_t staging_bytes(const struct staging *staging);
