/*
 * The problem: each page that differs from home must be found in a few nanoseconds, by a thread
 * that must not allocate. The trick: open addressing over one mapping, half empty at least; room
 * is made before a record is appended, never after. The guarantee: once reserved, a put cannot
 * fail, so that an epoch that is on media is also in the index.
 */
#include "index.h"

#include <errno.h>

#include "memory.h"

#define CAPACITY_MIN 256
#define CAPACITY_KEPT 4096

static size_t place_of(const struct index *index, uint64_t key)
{
	return (size_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 20) & (index->capacity - 1);
}

static struct index_entry *find_place(const struct index *index, uint64_t key)
{
	size_t at = place_of(index, key);

	while (index->entries[at].key && index->entries[at].key != key)
		at = (at + 1) & (index->capacity - 1);
	return &index->entries[at];
}

void index_init(struct index *index)
{
	*index = (struct index){0};
}

void index_deinit(struct index *index)
{
	if (index->capacity)
		memory_free(index->entries, index->capacity * sizeof(*index->entries));
	*index = (struct index){0};
}

void index_clear(struct index *index)
{
	for (size_t i = 0; index->count && i < index->capacity; i++)
		index->entries[i].key = 0;
	index->count = 0;
}

void index_reset(struct index *index)
{
	if (index->capacity > CAPACITY_KEPT)
		index_deinit(index);
	else
		index_clear(index);
}

const struct index_entry *index_find(const struct index *index, uint64_t key)
{
	const struct index_entry *entry = index->count ? find_place(index, key) : NULL;

	return entry && entry->key ? entry : NULL;
}

static int resize(struct index *index, size_t capacity)
{
	struct index bigger = {.capacity = capacity, .count = index->count};
	void *memory = memory_new(capacity * sizeof(*bigger.entries));

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

int index_reserve(struct index *index, size_t more)
{
	size_t capacity = index->capacity ? index->capacity : CAPACITY_MIN;

	while (capacity / 2 < index->count + more)
		capacity *= 2;
	return capacity == index->capacity ? 0 : resize(index, capacity);
}

int index_put(struct index *index, const struct index_entry *entry)
{
	int error = index_reserve(index, 1);

	if (error)
		return error;
	struct index_entry *place = find_place(index, entry->key);
	index->count += place->key == 0;
	*place = *entry;
	return 0;
}

int index_put_all(struct index *index, const struct index *from)
{
	int error = index_reserve(index, from->count);

	for (size_t i = 0; !error && i < from->capacity; i++)
		if (from->entries[i].key)
			error = index_put(index, &from->entries[i]);
	return error;
}

/* Entries that stay move forward into places that became free, so each is put again; starting
 * behind an empty place, no chain is cut by the array's end. */
void index_forget(struct index *index, uint64_t seq)
{
	size_t start = 0;

	if (!index->count)
		return;
	while (index->entries[start].key)
		start++;
	for (size_t i = 1; i < index->capacity; i++) {
		struct index_entry *at = &index->entries[(start + i) & (index->capacity - 1)];
		struct index_entry entry = *at;
		if (!entry.key)
			continue;
		at->key = 0;
		if (entry.seq <= seq)
			index->count--;
		else
			*find_place(index, entry.key) = entry;
	}
}
