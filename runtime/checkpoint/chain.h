/* Chain: following the records through the log. Room-private. */
#pragma once

#include "log.h"

/* chain_next() - the record behind *place, read into log->buffer and verified; moves *place behind
 * it. 1, 0 at the chain's end (*place has then moved into the last segment), or -errno */
int chain_next(struct log *log, struct layout_trim *place, const struct layout_record **ret_record);

/* chain_damage() - behind the chain's end: what cannot be there after a torn append alone. Returns
 * its file offset, or 0. */
uint64_t chain_damage(struct log *log, const struct layout_trim *end);
