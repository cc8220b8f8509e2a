/*
 * Shared: what forked children store into memory that is shared with them. The committer's, while
 * all threads stand.
 */
#pragma once

#include "mappings.h"

/* shared_look() - pages that are not what they were are told to the epoch. 0 or -ENOMEM */
int shared_look(const struct mappings *now);
/* shared_told() - these are staged as they are now, whatever was found the last time */
void shared_told(uint64_t page, uint64_t count);
