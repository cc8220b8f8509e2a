/*
 * A hash map of uthash, as it is: entries come, change and go, one transaction a step, some of
 * them durable.
 *
 * Its digest is kept beside it. A page too old or too new, anywhere, and map, count and digest do
 * not agree; a step's half, and the digest is that of no step.
 */
#include "storm.h"

#define uthash_fatal(what) _exit(1)
#include <uthash.h>

#define KEYS 4000

struct entry {
	uint64_t key;
	uint64_t value;
	UT_hash_handle hh;
	char payload[]; /* value % 300 bytes, filled with what it is */
};

HSK_KEEP static struct entry *map;
HSK_KEEP static uint64_t steps;
HSK_KEEP static uint64_t digest;

static size_t payload_bytes(uint64_t value)
{
	return value % 300;
}

static void put(uint64_t key, uint64_t value)
{
	struct entry *entry = malloc(sizeof(*entry) + payload_bytes(value));

	MUST(entry);
	entry->key = key;
	entry->value = value;
	fill(entry->payload, payload_bytes(value), (unsigned)value);
	HASH_ADD(hh, map, key, sizeof(entry->key), entry);
	digest += storm_mix(key, value);
}

static void take(struct entry *entry)
{
	digest -= storm_mix(entry->key, entry->value);
	HASH_DEL(map, entry);
	free(entry);
}

static void step(void)
{
	const uint64_t dice = storm_dice(1, steps), key = dice % KEYS;
	struct entry *entry;

	HASH_FIND(hh, map, &key, sizeof(key), entry);
	if (entry)
		take(entry);
	storm_linger(dice);
	if (!entry || dice >> 62)
		put(key, steps);
	steps++;
}

static void verify(void)
{
	uint64_t found = 0;

	for (const struct entry *entry = map; entry; entry = entry->hh.next) {
		struct entry *same;
		HASH_FIND(hh, map, &entry->key, sizeof(entry->key), same);
		MUST(same == entry);
		MUST(is_filled(entry->payload, payload_bytes(entry->value), (unsigned)entry->value));
		found += storm_mix(entry->key, entry->value);
	}
	MUST(found == digest);
}

int main(void)
{
	verify();
	storm_found(0, steps);
	for (;;)
		STORM_BLOCK(0, steps) { step(); }
}
