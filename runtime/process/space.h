/*
 * Space: which page of CHECKPOINT_REGION_MEMORY keeps which page of the address space.
 *
 * The problem: an address space is 2^35 pages of which a process has some thousands, here and
 * there, and they come and go; the pool keeps pages in a row. The trick: 2 MiB of addresses, a
 * *chunk*, get a slot of 512 pages when the first page of theirs is kept. The directory says for
 * each slot which chunk it is and which of its pages are kept; it is itself kept, as
 * CHECKPOINT_REGION_DIRECTORY.
 *
 * One thread at a time. No errno, no TLS, no malloc.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "checkpoint/checkpoint.h"

#define SPACE_CHUNK_PAGES 512u
#define SPACE_SLOTS (CHECKPOINT_MEMORY_PAGES / SPACE_CHUNK_PAGES)

/* On media. */
struct space_slot {
	uint64_t chunk;   /* its addresses / 2 MiB; 0: the slot is free */
	uint64_t kept[8]; /* a bit a page */
};
static_assert(sizeof(struct space_slot) * SPACE_SLOTS <=
		      CHECKPOINT_DIRECTORY_PAGES * LAYOUT_BLOCK_BYTES, "fits");

int space_open(void); /* 0 or -ENOMEM; empty */
/* space_load() - what a directory that was kept says; false: it cannot be */
bool space_load(const char *directory);

/* space_keep() - pages [start, start + len) of one chunk are kept from now on. Returns the
 * number of the first; SPACE_FULL */
#define SPACE_FULL UINT64_MAX
uint64_t space_keep(uint64_t start, uint64_t len);
/* space_address() - of a kept page; 0: it is none */
uint64_t space_address(uint64_t page);
/* space_forget() - none of these is kept any more; heard of: runs of numbers that were */
void space_forget(uint64_t start, uint64_t end, void (*hear)(uint64_t page, uint64_t count));

bool space_has(uint64_t start, uint64_t end); /* is any of these pages kept? */

/* space_changed() - pages of the directory that changed since the last call */
void space_changed(void (*hear)(uint64_t page, const char *bytes));
/* space_visit() - all slots in use */
void space_visit(void (*visit)(void *context, uint64_t slot, const struct space_slot *found),
		 void *context);
