/*
 * Kept globals: the HSK_KEEP sections of the program and of its libraries.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "checkpoint/region-table.h"

/* The memory of CHECKPOINT_REGION_TABLE. */
extern struct region_table keep_table;

/* keep_load() - the region table of the selected epoch into keep_table, and its regions known to
 * the engine; before checkpoint_attach(). 0 or a status */
int keep_load(struct checkpoint *checkpoint, const char *pool_path, struct refusal *ret_why);

/* keep_has_regions() - after keep_load(): kept globals are roots, so the pool is not empty */
bool keep_has_regions(void);

/* keep_enter_main() - restore and follow all sections registered so far; main is about to begin and
 * epochs are made. Ends the process, with one line, if a section does not fit what is kept. */
void keep_enter_main(void);

/* keep_has() - are these bytes kept globals? */
bool keep_has(const void *start, size_t len);

/* ---- moved.c: code that stands elsewhere ---- */

/* moved_compare() - how many modules stand elsewhere, or are others, than the table says; one line
 * about the first of them. moved_record() - put what is loaded into the table. */
unsigned moved_compare(const struct region_table *table);
void moved_record(struct region_table *table);
