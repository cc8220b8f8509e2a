/*
 * A least-recently-used cache under a memory limit: what object caches and key-value stores do.
 *
 * usage: lru PERCENT
 *
 * Values from 20 bytes to 32 KiB, popular keys read often and rewritten sometimes, the oldest
 * evicted when the bytes run over. Lifetimes follow popularity, so short- and long-lived blocks
 * of all sizes lie side by side.
 */
#include "bench.h"

#define KEYS (1u << 17)
#define LIMIT_BYTES (12ul << 20)

struct entry {
	struct entry *newer, *older;
	uint32_t key;
	uint32_t size;
	unsigned char value[];
};

static struct entry *table[KEYS];
static struct entry *newest, *oldest;
static size_t used_bytes;

static void entry_unlink(struct entry *entry)
{
	*(entry->newer ? &entry->newer->older : &newest) = entry->older;
	*(entry->older ? &entry->older->newer : &oldest) = entry->newer;
}

static void entry_link(struct entry *entry)
{
	entry->newer = NULL;
	entry->older = newest;
	*(newest ? &newest->newer : &oldest) = entry;
	newest = entry;
}

static void entry_evict(struct entry *entry)
{
	bench_verify(entry->value, entry->size, entry->key);
	entry_unlink(entry);
	table[entry->key] = NULL;
	used_bytes -= entry->size;
	free(entry);
}

static void cache_store(uint32_t key, uint32_t size)
{
	struct entry *entry = malloc(sizeof(*entry) + size);

	bench_check(entry != NULL, "out of memory");
	entry->key = key;
	entry->size = size;
	bench_mark(entry->value, size, key);
	memset(entry->value + 1, 'v', size - 2);
	entry_link(entry);
	table[key] = entry;
	used_bytes += size;
	while (used_bytes > LIMIT_BYTES)
		entry_evict(oldest);
}

/* Small keys are popular: the product of two uniform numbers. */
static uint32_t draw_key(struct bench_random *random)
{
	uint64_t draw = (uint64_t)bench_below(random, KEYS) * bench_below(random, KEYS);
	return (uint32_t)(draw / KEYS);
}

static uint32_t draw_size(struct bench_random *random)
{
	uint32_t shift = (uint32_t)__builtin_ctz((uint32_t)bench_random(random) | 1024);
	return 20 + bench_below(random, 32u << shift);
}

int main(int argc, char **argv)
{
	unsigned long requests = bench_scaled(argc, argv, 8000000);
	struct bench_random random = {29};

	for (unsigned long n = 0; n < requests; n++) {
		uint32_t key = draw_key(&random);
		struct entry *entry = table[key];

		if (entry && bench_below(&random, 4)) {
			bench_verify(entry->value, entry->size, key);
			entry_unlink(entry);
			entry_link(entry);
			continue;
		}
		if (entry)
			entry_evict(entry);
		cache_store(key, draw_size(&random));
	}
	while (oldest)
		entry_evict(oldest);
	bench_check(used_bytes == 0, "entries are missing");
	return 0;
}
