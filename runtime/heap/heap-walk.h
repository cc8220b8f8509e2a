/* What the validator's files share: one walk over the heap. */
#pragma once

#include "state.h"

/* Where findings go, how many there were, and what the spans add up to. */
struct walk {
	void (*report)(void *context, const struct heap_finding *finding);
	void *context;
	size_t findings;
	uint64_t used_pages, dirty_pages;
	uint32_t spans, slabs, slabs_open;
	uint64_t free_slots; /* of the list of slabs being walked */
	uint32_t free[SPAN_KINDS]; /* free spans by kind */
};

/* walk_expect() - a finding at this offset, unless found is what is expected */
void walk_expect(struct walk *walk, uint64_t offset, const char *what, uint64_t expected,
		 uint64_t found);

/* A field of the header. */
#define walk_expect_field(walk, field, expected) \
	walk_expect(walk, offsetof(struct layout_heap, field), "header: " #field, expected, \
		    state.header->field)

/* image_check_header() - is it that of a heap laid out for `size` bytes, its tables in their
 * places? (heap-image.c) */
bool image_check_header(struct walk *walk, const struct layout_heap *header, uint64_t size);

bool walk_is_record(uint32_t id);
bool walk_lies_in_data(const void *p, uint64_t bytes);
/* Is [offset, +bytes) inside one metadata span? */
bool walk_lies_in_meta(uint64_t offset, uint64_t bytes);
/* A slab whose states may be followed: its geometry is its class's, its states are metadata. */
bool walk_slab_is_sound(const struct layout_span *span);

/* walk_caches() - thread caches and what they hold: afterwards every CACHED slot is known to be in
 * one cache, or reported. The spans tile the data and the pagemap agrees. */
void walk_caches(struct walk *walk);
