/*
 * Anchor: the superblocks, as the engine reads and changes them. Room-private.
 */
#pragma once

#include <stdbool.h>

#include "flush/medium.h"
#include "layout.h"
#include "say.h"

struct anchor {
	struct medium *medium;
	struct layout_superblock sb; /* the newest known to be on media */
	bool is_twin;                /* both slots carry its content, and both are on media */
	bool is_adopted;
	bool is_trim_certain;        /* home has not passed sb.trim as far as the slots can tell */
};

/* anchor_open() - the newest valid superblock; writes nothing */
int anchor_open(struct anchor *ret_anchor, struct medium *medium, struct refusal *ret_why);

/* anchor_adopt() - make what anchor_open found durable: its writer may have died between a
 * failed sync and now, and then only the page cache holds it. Before any other write. */
int anchor_adopt(struct anchor *anchor);

/* anchor_update() - both slots carry *next. 0: neither a torn write nor the loss of one slot
 * leads back behind it. -errno: either content may be found by a recovery, and the caller relies
 * on neither. */
int anchor_update(struct anchor *anchor, const struct layout_superblock *next);

/* anchor_attach() - superblocks that say which epoch this run began with; 0: home passes it */
int anchor_attach(struct anchor *anchor, uint64_t epoch);

/* anchor_settle() - the same for the content it has, if an update before failed half-way */
int anchor_settle(struct anchor *anchor);
