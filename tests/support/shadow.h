/*
 * What a program knows of its blocks: where each lies, how long it is, and what stands in it.
 *
 * A byte for every 16 of the heap says whether a block has it, so an address handed out twice, or
 * a block that reaches into another, is seen at once; the contents follow from the block's seed.
 */
#pragma once

#include "arena.h"

#define SHADOW_BLOCKS 4096

struct shadow_block {
	unsigned char *p;
	size_t size;
	uint8_t seed;
};

static struct shadow {
	uint8_t *taken; /* by 16 bytes of the arena */
	struct shadow_block blocks[SHADOW_BLOCKS];
	size_t live_blocks;
} shadow;

static inline void shadow_open(void)
{
	free(shadow.taken);
	shadow = (struct shadow){.taken = calloc(arena.size / 16, 1)};
	cr_assert_not_null(shadow.taken);
}

static inline void shadow_mark(const void *p, size_t size, uint8_t value)
{
	const size_t first = (size_t)((const char *)p - arena.base) / 16;
	for (size_t i = first; i < first + (size + 15) / 16; i++) {
		cr_assert_neq(shadow.taken[i], value, "%p+%zu is %s", p, size,
			      value ? "given out twice" : "nobody's");
		shadow.taken[i] = value;
	}
}

static inline void shadow_fill(struct shadow_block *block)
{
	block->seed = (uint8_t)arena_random(256);
	for (size_t i = 0; i < block->size; i += 61)
		block->p[i] = (uint8_t)(block->seed + i);
	block->p[block->size - 1] = block->seed;
}

static inline void shadow_verify(const struct shadow_block *block, size_t size)
{
	for (size_t i = 0; i < size && i < block->size - 1; i += 61)
		cr_assert_eq(block->p[i], (uint8_t)(block->seed + i), "byte %zu of %p+%zu", i,
			     (void *)block->p, block->size);
	if (size == block->size)
		cr_assert_eq(block->p[size - 1], block->seed);
}

/* A block the heap has just given; it is filled. */
static inline void shadow_enter(struct shadow_block *block, void *p, size_t size)
{
	cr_assert_eq((uintptr_t)p % 16, 0);
	cr_assert(heap_has(p) && heap_has((char *)p + size - 1));
	cr_assert_geq(heap_usable_size(p), size);
	shadow_mark(p, size, 1);
	*block = (struct shadow_block){.p = p, .size = size};
	shadow_fill(block);
	shadow.live_blocks++;
}

/* The block is verified and about to be freed. */
static inline void *shadow_leave(struct shadow_block *block)
{
	void *p = block->p;
	shadow_verify(block, block->size);
	shadow_mark(p, block->size, 0);
	block->p = NULL;
	shadow.live_blocks--;
	return p;
}

static inline bool shadow_is_zero(const unsigned char *p, size_t size)
{
	return size == 0 || (p[0] == 0 && memcmp(p, p + 1, size - 1) == 0);
}

/* One allocation of a random kind; false: the heap had no memory. */
static inline bool shadow_alloc(struct shadow_block *block)
{
	const size_t size = arena_random_size();
	const uint64_t kind = arena_random(20);
	const size_t alignment = (size_t)16 << arena_random(12);
	void *p = kind < 4 ? heap_alloc_zeroed(size) :
		  kind == 4 ? heap_alloc_aligned(alignment, size) : heap_alloc(size);
	if (!p)
		return false;
	cr_assert(kind >= 4 || shadow_is_zero(p, size));
	cr_assert(kind != 4 || (uintptr_t)p % alignment == 0);
	shadow_enter(block, p, size);
	return true;
}

static inline bool shadow_realloc(struct shadow_block *block)
{
	const struct shadow_block old = *block;
	const size_t size = arena_random_size();
	unsigned char *p = heap_realloc(old.p, size);
	if (!p) {
		shadow_verify(&old, old.size);
		return false;
	}
	const struct shadow_block now = {p, size < old.size ? size : old.size, old.seed};
	for (size_t i = 0; i + 1 < now.size; i += 61)
		cr_assert_eq(p[i], (uint8_t)(old.seed + i));
	shadow_mark(old.p, old.size, 0);
	shadow.live_blocks--;
	shadow_enter(block, p, size);
	return true;
}

/* One random step over the first `blocks` blocks; false: the heap had no memory. */
static inline bool shadow_step(size_t blocks)
{
	struct shadow_block *block = &shadow.blocks[arena_random(blocks)];
	if (!block->p)
		return shadow_alloc(block);
	if (arena_random(5) == 0)
		return shadow_realloc(block);
	heap_free(shadow_leave(block));
	return true;
}

static inline void shadow_free_all(void)
{
	for (size_t i = 0; i < SHADOW_BLOCKS; i++)
		if (shadow.blocks[i].p)
			heap_free(shadow_leave(&shadow.blocks[i]));
	cr_assert_eq(shadow.live_blocks, 0);
}
