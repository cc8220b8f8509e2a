/* Segments: the pieces of the log, and taking them into use. Room-private. */
#pragma once

#include "log.h"

static inline uint64_t segment_start(const struct log *log, uint32_t segment)
{
	return segment * log->segment_bytes;
}

/* The segment a place lies in; a place behind its last block still belongs to it. */
static inline uint32_t segment_of(const struct log *log, uint64_t offset)
{
	return (uint32_t)((offset ? offset - 1 : 0) / log->segment_bytes);
}

/* segment_count_all() - know all that both superblocks carry; reads the headers unless is_new */
int segment_count_all(struct log *log, bool is_new);

/* segment_is_free() - may it be taken? */
bool segment_is_free(const struct log *log, uint32_t segment);

uint32_t segment_count_used(const struct log *log);

/* segment_prepare() - have a free one ready, growing the log as far as wanted, or, if merging does
 * not help, further, and filling it with zeros, a piece at a time. 0: nothing to do, 1: call
 * again, -errno */
int segment_prepare(struct log *log, bool may_grow);

/* segment_take() - continue the chain behind the tail in a free segment. 0: its header is durable,
 * and no other successor of the tail counts any more; LOG_E_FULL; -errno: a recovery may find it,
 * empty */
int segment_take(struct log *log, uint32_t flags, bool may_grow);
