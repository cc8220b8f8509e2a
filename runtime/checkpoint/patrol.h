/* Patrol: rounds through all pages at rest, a piece at a time. Room-private. */
#pragma once

#include <stdint.h>

struct patrol {
	uint64_t page_count; /* of all regions there were when the round began, in the roster's order */
	uint64_t at;         /* of these, the next */
	uint64_t left;       /* in this round; 0: the next call begins one */
	char *buffer;        /* while a round goes on */
};

void patrol_deinit(struct patrol *patrol);
