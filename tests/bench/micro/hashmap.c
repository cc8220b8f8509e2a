/*
 * A chained hash map that grows by doubling, is searched, loses half its keys and fills again.
 *
 * usage: hashmap PERCENT
 *
 * Two blocks per entry (the entry and its key of 5 to 40 bytes) live long and die scattered,
 * while the bucket array moves through every large size: the way a dictionary, a symbol table
 * or a key-value store uses malloc.
 */
#include "bench.h"

struct entry {
	struct entry *next;
	char *key;
	uint64_t hash;
	uint64_t value;
};

struct map {
	struct entry **buckets;
	size_t bucket_count;
	size_t entry_count;
};

static size_t key_print(char *buffer, uint64_t number)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz012345";
	size_t len = 5 + number % 36;

	for (size_t i = 0; i < len; i++)
		buffer[i] = letters[(number >> (i % 13 * 5)) & 31];
	buffer[len] = 0;
	return len;
}

static void map_grow(struct map *map)
{
	size_t bucket_count = map->bucket_count ? map->bucket_count * 2 : 64;
	struct entry **buckets = calloc(bucket_count, sizeof(*buckets));

	bench_check(buckets != NULL, "out of memory");
	for (size_t i = 0; i < map->bucket_count; i++) {
		struct entry *entry = map->buckets[i];

		while (entry) {
			struct entry *next = entry->next;
			struct entry **bucket = &buckets[entry->hash & (bucket_count - 1)];

			entry->next = *bucket;
			*bucket = entry;
			entry = next;
		}
	}
	free(map->buckets);
	map->buckets = buckets;
	map->bucket_count = bucket_count;
}

static struct entry **map_find(struct map *map, const char *key, uint64_t hash)
{
	struct entry **link = &map->buckets[hash & (map->bucket_count - 1)];

	while (*link && ((*link)->hash != hash || strcmp((*link)->key, key) != 0))
		link = &(*link)->next;
	return link;
}

static void map_insert(struct map *map, uint64_t number)
{
	char key[64];
	size_t len = key_print(key, number);
	struct entry **link, *entry;

	if (map->entry_count >= map->bucket_count)
		map_grow(map);
	link = map_find(map, key, number);
	if (*link)
		return;
	entry = malloc(sizeof(*entry));
	bench_check(entry != NULL, "out of memory");
	*entry = (struct entry){.key = malloc(len + 1), .hash = number, .value = ~number};
	bench_check(entry->key != NULL, "out of memory");
	memcpy(entry->key, key, len + 1);
	*link = entry;
	map->entry_count++;
}

static void map_remove(struct map *map, uint64_t number)
{
	char key[64];
	struct entry **link, *entry;

	key_print(key, number);
	link = map_find(map, key, number);
	entry = *link;
	bench_check(entry && entry->value == ~number, "a key is missing");
	*link = entry->next;
	free(entry->key);
	free(entry);
	map->entry_count--;
}

static void map_each(struct map *map, uint64_t seed, unsigned long from, unsigned long count,
		     void (*act)(struct map *map, uint64_t number))
{
	for (unsigned long i = from; i < from + count; i++) {
		struct bench_random random = {seed + i * 977};
		act(map, bench_random(&random));
	}
}

int main(int argc, char **argv)
{
	unsigned long entries = bench_scaled(argc, argv, 400000);

	for (uint64_t seed = 1; seed <= 3; seed++) {
		struct map map = {0};

		map_each(&map, seed, 0, entries, map_insert);
		map_each(&map, seed, 0, entries / 2, map_remove);
		map_each(&map, seed, entries, entries / 2, map_insert);
		bench_check(map.entry_count == entries, "entries are missing");
		map_each(&map, seed, entries / 2, entries - entries / 2, map_remove);
		map_each(&map, seed, entries, entries / 2, map_remove);
		bench_check(map.entry_count == 0, "entries are left over");
		free(map.buckets);
	}
	return 0;
}
