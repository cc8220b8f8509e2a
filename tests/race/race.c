/*
 * Threads against the bare heap: no preload, no pool, an anonymous range, so that TSan can watch.
 *
 * Each thread allocates, resizes and frees at random from its own seed; every block carries the
 * number of its owner and is verified before it is touched again, so a block given out twice shows
 * as another's number even without TSan. Blocks also travel through one shared exchange and are
 * freed by whoever takes them; threads come and go, so caches change hands. Now and then a thread
 * frees in an undo. Half of them end without a word, and the heap is attached anew: their caches
 * are adopted or emptied by the next ones. Once all is quiet the validator walks the heap, and
 * every block must have come back.
 *
 * usage: race [SEED [ROUNDS]]; the seed is printed on failure.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "heap/heap.h"

enum { THREADS = 4, GENERATIONS = 6, HELD = 200, EXCHANGE = 64 };

struct block {
	size_t size;
	uint64_t owner; /* and the last eight bytes hold it again */
};

static const size_t range_bytes = (size_t)1 << 30;
static uint64_t seed = 1;
static long rounds = 60000;
static _Atomic(struct block *) exchange[EXCHANGE];

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "race: %s; again with: race %llu %ld\n", what, (unsigned long long)seed,
		rounds);
	abort();
}

static int grow(void *context, size_t offset, size_t len)
{
	return mprotect((char *)context + offset, len, PROT_READ | PROT_WRITE) ? -1 : 0;
}

static int purge(void *context, size_t offset, size_t len)
{
	return madvise((char *)context + offset, len, MADV_DONTNEED) ? -1 : 0;
}

static void populate(void *context, size_t offset, size_t len)
{
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Mostly small, some of several pages, a few large enough for spans of their own. */
static size_t random_size(uint64_t *state)
{
	const uint64_t r = next_random(state);
	if (r % 100 < 90)
		return 24 + (r >> 8) % 1000;
	if (r % 100 < 99)
		return 24 + (r >> 8) % 60000;
	return 24 + (r >> 8) % 3000000;
}

static void block_mark(struct block *block, size_t size, uint64_t owner)
{
	block->size = size;
	block->owner = owner;
	memcpy((char *)block + size - sizeof(owner), &owner, sizeof(owner));
}

static void block_verify(const struct block *block, uint64_t owner)
{
	uint64_t last;
	memcpy(&last, (const char *)block + block->size - sizeof(last), sizeof(last));
	if (block->owner != owner || last != owner)
		fail("a block holds what its owner did not write");
	if (heap_usable_size(block) < block->size)
		fail("a block is smaller than what was asked for");
}

static struct block *block_new(uint64_t owner, uint64_t *state)
{
	const size_t size = random_size(state);
	struct block *block = next_random(state) % 8 ? heap_alloc(size)
						      : heap_alloc_aligned(256, size);
	if (!block)
		fail("no memory, with most of the range unused");
	block_mark(block, size, owner);
	return block;
}

/* Out with one block, in with another; what was there may be anybody's. */
static void block_exchange(struct block *block, uint64_t slot)
{
	struct block *other = atomic_exchange(&exchange[slot % EXCHANGE], block);
	if (other) {
		block_verify(other, other->owner);
		heap_free(other);
	}
}

static void *hammer(void *argument)
{
	const uint64_t owner = (uint64_t)(uintptr_t)argument;
	uint64_t state = seed * 0x9e3779b97f4a7c15 + owner;
	struct block *held[HELD] = {NULL};

	for (long i = 0; i < rounds; i++) {
		if (i % 512 == 0)
			heap_undo_commit();
		else if (i % 512 == 400 && heap_undo_begin() != 0)
			fail("no memory for an undo");
		const uint64_t slot = next_random(&state) % HELD;
		struct block *block = held[slot];
		if (!block) {
			held[slot] = block_new(owner, &state);
			continue;
		}
		block_verify(block, owner);
		held[slot] = NULL;
		switch (next_random(&state) % 4) {
		case 0: {
			const size_t size = random_size(&state);
			held[slot] = heap_realloc(block, size);
			if (!held[slot] || held[slot]->owner != owner)
				fail("realloc lost the beginning of a block");
			block_mark(held[slot], size, owner);
			break;
		}
		case 1:
			block_exchange(block, next_random(&state));
			break;
		default:
			heap_free(block);
		}
	}
	for (size_t i = 0; i < HELD; i++)
		if (held[i]) {
			block_verify(held[i], owner);
			heap_free(held[i]);
		}
	heap_undo_commit();
	if (owner % 2)
		heap_thread_exit();
	return NULL;
}

static void report(void *context, const struct heap_finding *finding)
{
	fprintf(stderr, "offset %zu: %s: expected %llu, found %llu\n", finding->offset,
		finding->what, (unsigned long long)finding->expected,
		(unsigned long long)finding->found);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		seed = strtoull(argv[1], NULL, 10);
	if (argc > 2)
		rounds = strtol(argv[2], NULL, 10);

	char *base = mmap(NULL, range_bytes, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	const struct heap_memory memory = {
		.context = base, .grow = grow, .purge = purge, .populate = populate};
	if (base == MAP_FAILED || heap_create(&memory, base, range_bytes, range_bytes) != 0)
		fail("no heap");

	uint64_t owner = 0;
	for (int generation = 0; generation < GENERATIONS; generation++) {
		pthread_t threads[THREADS];
		for (int i = 0; i < THREADS; i++)
			if (pthread_create(&threads[i], NULL, hammer, (void *)(uintptr_t)++owner))
				fail("no thread");
		for (int i = 0; i < THREADS; i++)
			pthread_join(threads[i], NULL);
		if (heap_check(report, NULL) != 0)
			fail("the validator found violations");
		struct heap_finding why;
		heap_destroy();
		if (heap_attach(&memory, base, range_bytes, range_bytes, &why) != 0) {
			report(NULL, &why);
			fail("the heap is not what it was");
		}
	}
	for (uint64_t i = 0; i < EXCHANGE; i++)
		block_exchange(NULL, i);

	struct heap_stats stats;
	heap_get_stats(&stats);
	if (stats.live_blocks != 0)
		fail("blocks are left that nobody holds");
	return 0;
}
