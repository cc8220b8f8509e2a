/*
 * Sizes are rounded up to one of 72 classes: steps of 16 bytes up to 128, then eight steps to
 * each doubling up to 32 KiB, so at most 1/9 of a slot is lost to rounding beyond 128 bytes.
 * Every class is a multiple of 16; a class that serves a size which is a multiple of an alignment
 * up to a page is itself a multiple of that alignment (a step of a doubling is a power of two), so
 * aligned requests need no slots of their own.
 *
 * A slab is at least 64 KiB and 16 slots, and loses at most 1/32 at its end.
 */
#include "sizeclass.h"

#define SLAB_PAGES_MIN 16
#define SLAB_SLOTS_MIN 16
#define SLAB_WASTE_MAX 32 /* one part in */

#define CACHE_BYTES 131072u
#define CACHE_SLOTS_MIN 8

uint8_t sizeclass_table[SIZECLASS_MAX_BYTES / 16 + 1];

uint32_t sizeclass_bytes(unsigned class)
{
	if (class <= 8)
		return class * 16;
	const unsigned doubling = (class - 9) / 8, step = (class - 9) % 8;
	return (9 + step) << (4 + doubling);
}

unsigned sizeclass_capacity(unsigned class)
{
	const unsigned slots = CACHE_BYTES / sizeclass_bytes(class);
	if (slots < CACHE_SLOTS_MIN)
		return CACHE_SLOTS_MIN;
	return slots < SIZECLASS_CACHE_MAX ? slots : SIZECLASS_CACHE_MAX;
}

static uint32_t slab_pages(uint32_t slot_bytes)
{
	for (uint32_t pages = SLAB_PAGES_MIN;; pages++) {
		const uint32_t bytes = pages * HEAP_PAGE_BYTES;
		if (bytes / slot_bytes >= SLAB_SLOTS_MIN &&
		    bytes % slot_bytes <= bytes / SLAB_WASTE_MAX)
			return pages;
	}
}

void sizeclass_fill(struct layout_class ret_classes[HEAP_CLASSES])
{
	unsigned entry = 0;
	for (unsigned class = 1; class < HEAP_CLASSES; class++) {
		const uint32_t bytes = sizeclass_bytes(class);
		const uint32_t pages = slab_pages(bytes);
		ret_classes[class] = (struct layout_class){
			.slot_bytes = bytes,
			.slot_count = (uint32_t)(pages * HEAP_PAGE_BYTES / bytes),
			.page_count = pages,
			.inverse = UINT64_MAX / bytes + 1,
		};
		while (entry * 16 <= bytes)
			sizeclass_table[entry++] = (uint8_t)class;
	}
}
