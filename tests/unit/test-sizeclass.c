/* Size classes: every size has one, the smallest that serves it, and slots can be told from
 * their slabs by a multiplication. */
#include <criterion/criterion.h>

#include "heap/sizeclass.h"

static struct layout_class classes[HEAP_CLASSES];

static void fill(void)
{
	sizeclass_fill(classes);
}

TestSuite(sizeclass, .init = fill);

Test(sizeclass, every_size_gets_the_smallest_class_that_holds_it)
{
	for (size_t size = 0; size <= SIZECLASS_MAX_BYTES; size++) {
		const unsigned class = sizeclass_of(size);
		cr_assert(class >= 1 && class < HEAP_CLASSES, "size %zu", size);
		cr_assert_geq(classes[class].slot_bytes, size);
		cr_assert(class == 1 || classes[class - 1].slot_bytes < size, "size %zu", size);
	}
}

Test(sizeclass, classes_rise_in_multiples_of_16)
{
	for (unsigned class = 1; class < HEAP_CLASSES; class++) {
		cr_assert_eq(classes[class].slot_bytes % 16, 0);
		cr_assert_gt(classes[class].slot_bytes, classes[class - 1].slot_bytes);
	}
	cr_assert_eq(classes[HEAP_CLASSES - 1].slot_bytes, SIZECLASS_MAX_BYTES);
}

Test(sizeclass, rounding_up_loses_a_ninth_of_a_slot_at_most)
{
	for (size_t size = 128; size <= SIZECLASS_MAX_BYTES; size++) {
		const size_t slot = classes[sizeclass_of(size)].slot_bytes;
		cr_assert_leq((slot - size) * 9, slot, "size %zu in a slot of %zu", size, slot);
	}
}

Test(sizeclass, a_multiple_of_an_alignment_gets_slots_of_that_alignment)
{
	for (size_t alignment = 16; alignment <= HEAP_PAGE_BYTES; alignment *= 2)
		for (size_t size = alignment; size <= SIZECLASS_MAX_BYTES; size += alignment)
			cr_assert_eq(classes[sizeclass_of(size)].slot_bytes % alignment, 0,
				     "size %zu, alignment %zu", size, alignment);
}

Test(sizeclass, slabs_waste_little)
{
	for (unsigned class = 1; class < HEAP_CLASSES; class++) {
		const struct layout_class *geometry = &classes[class];
		const uint64_t bytes = geometry->page_count * HEAP_PAGE_BYTES;
		const uint64_t slots = (uint64_t)geometry->slot_count * geometry->slot_bytes;
		cr_assert(slots <= bytes && bytes - slots <= bytes / 32, "class %u", class);
		cr_assert_lt(bytes - slots, geometry->slot_bytes);
		cr_assert_geq(geometry->slot_count, 16);
		cr_assert_geq(bytes, 65536);
	}
}

Test(sizeclass, the_inverse_finds_every_slot_and_nothing_else)
{
	for (unsigned class = 1; class < HEAP_CLASSES; class++) {
		const struct layout_class *geometry = &classes[class];
		for (uint64_t at = 0; at < geometry->page_count * HEAP_PAGE_BYTES; at++) {
			const unsigned __int128 product = (unsigned __int128)at * geometry->inverse;
			const bool is_start = (uint64_t)product < geometry->inverse;
			cr_assert_eq((uint64_t)(product >> 64), at / geometry->slot_bytes);
			cr_assert_eq(is_start, at % geometry->slot_bytes == 0);
		}
	}
}

Test(sizeclass, a_thread_caches_some_slots_of_each_and_not_too_many_bytes)
{
	for (unsigned class = 1; class < HEAP_CLASSES; class++) {
		const size_t slots = sizeclass_capacity(class);
		cr_assert(slots >= 8 && slots <= 256);
		cr_assert_leq(slots * sizeclass_bytes(class), 8 * SIZECLASS_MAX_BYTES);
	}
}
