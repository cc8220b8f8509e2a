/*
 * Kept globals, seen by attach.c: before the pool has a writer.
 */
#pragma once

#include <stdbool.h>

#include "checkpoint/region-table.h"

/* keep_load() - the region table of the selected epoch into keep_table, and its regions known to
 * the engine; before checkpoint_attach(). 0 or a status */
int keep_load(struct checkpoint *checkpoint, const char *pool_path, struct refusal *ret_why);

/* keep_has_regions() - after keep_load(): kept globals are roots, so the pool is not empty */
bool keep_has_regions(void);

/* The memory of CHECKPOINT_REGION_TABLE. */
extern struct region_table keep_table;
