/* Queue: entries, to be taken out by page and the newest first. Room-private. */
#pragma once

#include "index.h"

struct queue {
	struct index_entry *entries; /* a heap: none comes before its parent */
	size_t count;
	size_t capacity;
};

void queue_deinit(struct queue *queue);
int queue_put(struct queue *queue, const struct index_entry *entry); /* -ENOMEM */
/* queue_take() - false: it is empty */
bool queue_take(struct queue *queue, struct index_entry *ret_entry);
