/* Stage: pages become entries of the record under way. Room-private. */
#pragma once

#include "engine.h"

/* stage_begin() - an empty record of the epoch `number` */
void stage_begin(struct checkpoint *checkpoint, uint64_t number);

/* stage_page() - the page as the epoch has it, NULL: zeros. Instead of what an earlier
 * call in this epoch said. -errno: the epoch has failed */
int stage_page(struct checkpoint *checkpoint, uint64_t key, const void *bytes);

/* stage_bulk() - pages written into home become part of the epoch */
int stage_bulk(struct checkpoint *checkpoint);

/* stage_entry() - one entry of the record under way, with the lines it names of these bytes; a
 * record that is full goes to the log first */
int stage_entry(struct checkpoint *checkpoint, const struct annals_entry *entry,
		const void *bytes);
bool stage_is_full(const struct checkpoint *checkpoint);
/* stage_drop() - an empty record again: what has been staged since the last one is forgotten */
void stage_drop(struct checkpoint *checkpoint);

/* stage_append() - the record into the log; with LAYOUT_RECORD_COMMIT the last of the epoch */
int stage_append(struct checkpoint *checkpoint, uint32_t flags);
