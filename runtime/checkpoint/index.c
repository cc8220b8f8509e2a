/*
 * The problem: what is known of a page must be found in a few nanoseconds, by a thread that must
 * not allocate. The trick: open addressing over one mapping, half empty at least; what is removed
 * leaves no mark, for those behind it move up. The guarantee: a page that is in it is found by
 * looking at neighbours only, and putting it again cannot fail.
 *
 * Eight pages side by side stay so, since they are often wanted together.
 */
#include "index.h"

#include <errno.h>

#include "memory.h"

#define CAPACITY_MIN 256
#define CAPACITY_KEPT 4096
#define POPULATE_FROM_BYTES ((size_t)64 << 10)

static size_t place_of(const struct index *index, uint64_t key)
{
	const uint64_t group = (key >> 3) * UINT64_C(0x9e3779b97f4a7c15);

	return (size_t)(group >> 20 << 3 | (key & 7)) & (index->capacity - 1);
}

static struct index_entry *find_place(const struct index *index, uint64_t key)
{
	size_t at = place_of(index, key);

	while (index->entries[at].key && index->entries[at].key != key)
		at = (at + 1) & (index->capacity - 1);
	return &index->entries[at];
}

void index_deinit(struct index *index)
{
	if (index->capacity)
		memory_free(index->entries, index->capacity * sizeof(*index->entries));
	*index = (struct index){0};
}

const struct index_entry *index_find(const struct index *index, uint64_t key)
{
	const struct index_entry *entry = index->count ? find_place(index, key) : NULL;

	return entry && entry->key ? entry : NULL;
}

void index_expect(const struct index *index, uint64_t key)
{
	if (index->count)
		__builtin_prefetch(&index->entries[place_of(index, key)]);
}

/* Entries come everywhere in it; looked at before it is stored to, a page takes two faults. */
static void *new_entries(size_t bytes)
{
	void *memory = memory_new(bytes);

	if (memory && bytes >= POPULATE_FROM_BYTES)
		os_populate(memory, bytes);
	return memory;
}

static int resize(struct index *index, size_t capacity)
{
	struct index bigger = {.capacity = capacity, .count = index->count};
	void *memory = new_entries(capacity * sizeof(*bigger.entries));

	if (!memory)
		return -ENOMEM;
	bigger.entries = memory;
	for (size_t i = 0; i < index->capacity; i++)
		if (index->entries[i].key)
			*find_place(&bigger, index->entries[i].key) = index->entries[i];
	index_deinit(index);
	*index = bigger;
	return 0;
}

void index_shrink(struct index *index)
{
	size_t capacity = CAPACITY_KEPT;

	while (capacity / 4 < index->count)
		capacity *= 2;
	if (capacity < index->capacity / 2)
		resize(index, capacity); /* or not: a large one works as well */
}

int index_put(struct index *index, uint64_t key, uint64_t value)
{
	struct index_entry *place = index->capacity ? find_place(index, key) : NULL;

	if (!place || (!place->key && index->capacity / 2 < index->count + 1)) {
		int error = resize(index, index->capacity ? index->capacity * 2 : CAPACITY_MIN);
		if (error)
			return error;
		place = find_place(index, key);
	}
	index->count += place->key == 0;
	*place = (struct index_entry){key, value};
	return 0;
}

/* May what stands at `at` move up to `hole` and still be found from its own place? */
static bool may_fill(const struct index *index, size_t hole, size_t at)
{
	const size_t mask = index->capacity - 1;

	return ((at - place_of(index, index->entries[at].key)) & mask) >= ((at - hole) & mask);
}

void index_remove(struct index *index, uint64_t key)
{
	const size_t mask = index->capacity - 1;
	struct index_entry *place = index->count ? find_place(index, key) : NULL;

	if (!place || !place->key)
		return;
	size_t hole = (size_t)(place - index->entries);
	for (size_t at = (hole + 1) & mask; index->entries[at].key; at = (at + 1) & mask) {
		if (!may_fill(index, hole, at))
			continue;
		index->entries[hole] = index->entries[at];
		hole = at;
	}
	index->entries[hole].key = 0;
	index->count--;
}
