/*
 * The problem: a merge wants the pages in the order of the file, so that the kernel writes them in
 * long runs, and of each page only the newest entry; but it works in small steps, and sorting 100
 * thousand entries is not one. The trick: a binary heap spreads the work evenly over puts and
 * takes. The guarantee: no call costs more than a few dozen comparisons, but for the copy when it
 * has grown by half.
 */
#include "queue.h"

#include <errno.h>

#include "memory.h"

#define CAPACITY_MIN 1024u

/* A page's entries lie in the log in the order of their making. */
static bool comes_before(const struct index_entry *a, const struct index_entry *b)
{
	if (a->key != b->key)
		return a->key < b->key;
	return a->seq != b->seq ? a->seq > b->seq : a->lines > b->lines;
}

void queue_deinit(struct queue *queue)
{
	memory_free(queue->entries, queue->capacity * sizeof(*queue->entries));
	*queue = (struct queue){0};
}

static int grow(struct queue *queue)
{
	const size_t capacity = queue->capacity ? 2 * queue->capacity : CAPACITY_MIN;
	void *memory = memory_grow(queue->entries, queue->capacity * sizeof(*queue->entries),
				   capacity * sizeof(*queue->entries));

	if (!memory)
		return -ENOMEM;
	queue->entries = memory;
	queue->capacity = capacity;
	return 0;
}

int queue_put(struct queue *queue, const struct index_entry *entry)
{
	int error = queue->count == queue->capacity ? grow(queue) : 0;

	if (error)
		return error;
	size_t at = queue->count++;
	for (; at && comes_before(entry, &queue->entries[(at - 1) / 2]); at = (at - 1) / 2)
		queue->entries[at] = queue->entries[(at - 1) / 2];
	queue->entries[at] = *entry;
	return 0;
}

bool queue_take(struct queue *queue, struct index_entry *ret_entry)
{
	size_t at = 0, child;

	if (!queue->count)
		return false;
	*ret_entry = queue->entries[0];
	const struct index_entry last = queue->entries[--queue->count];
	while ((child = 2 * at + 1) < queue->count) {
		if (child + 1 < queue->count &&
		    comes_before(&queue->entries[child + 1], &queue->entries[child]))
			child++;
		if (!comes_before(&queue->entries[child], &last))
			break;
		queue->entries[at] = queue->entries[child];
		at = child;
	}
	queue->entries[at] = last;
	return true;
}
