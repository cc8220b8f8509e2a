/*
 * The problem: a merge wants the pages in the order of the file, so that the kernel writes them in
 * long runs; but it works in small steps, and sorting 100 thousand is not one. The trick: a binary
 * heap spreads the work evenly over puts and takes. The guarantee: no call costs more than a few
 * dozen comparisons, but for the copy when it has grown by half.
 */
#include "queue.h"

#include <errno.h>

#include "memory.h"

#define CAPACITY_MIN 1024u

void queue_deinit(struct queue *queue)
{
	memory_free(queue->keys, queue->capacity * sizeof(*queue->keys));
	*queue = (struct queue){0};
}

static int grow(struct queue *queue)
{
	const size_t capacity = queue->capacity ? 2 * queue->capacity : CAPACITY_MIN;
	void *memory = memory_grow(queue->keys, queue->capacity * sizeof(*queue->keys),
				   capacity * sizeof(*queue->keys));

	if (!memory)
		return -ENOMEM;
	queue->keys = memory;
	queue->capacity = capacity;
	return 0;
}

int queue_put(struct queue *queue, uint64_t key)
{
	int error = queue->count == queue->capacity ? grow(queue) : 0;

	if (error)
		return error;
	size_t at = queue->count++;
	for (; at && key < queue->keys[(at - 1) / 2]; at = (at - 1) / 2)
		queue->keys[at] = queue->keys[(at - 1) / 2];
	queue->keys[at] = key;
	return 0;
}

bool queue_take(struct queue *queue, uint64_t *ret_key)
{
	size_t at = 0, child;

	if (!queue->count)
		return false;
	*ret_key = queue->keys[0];
	const uint64_t last = queue->keys[--queue->count];
	while ((child = 2 * at + 1) < queue->count) {
		if (child + 1 < queue->count && queue->keys[child + 1] < queue->keys[child])
			child++;
		if (queue->keys[child] >= last)
			break;
		queue->keys[at] = queue->keys[child];
		at = child;
	}
	queue->keys[at] = last;
	return true;
}
