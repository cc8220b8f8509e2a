/*
 * Maps: the mappings of this process, one after the other, as /proc/self/maps has them. Little
 * stack, no errno, no malloc.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct maps {
	int fd;
	unsigned at; /* in chunk */
	unsigned len;
	char chunk[512];
};

struct map {
	uintptr_t start;
	uintptr_t end;
	bool is_closed; /* no permission at all: ---p */
	char line[128]; /* the whole of it, or its beginning */
};

/* maps_open() - 0 or -errno; then maps_next() until it is false; then maps_close() */
int maps_open(struct maps *ret_maps);
bool maps_next(struct maps *maps, struct map *ret_map);
void maps_close(struct maps *maps);
