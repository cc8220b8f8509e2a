/* Queue: pages, to be taken out in the order of the file. Room-private. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct queue {
	uint64_t *keys; /* a heap: none is less than its parent */
	size_t count;
	size_t capacity;
};

void queue_deinit(struct queue *queue);
int queue_put(struct queue *queue, uint64_t key); /* -ENOMEM */
/* queue_take() - false: it is empty */
bool queue_take(struct queue *queue, uint64_t *ret_key);
