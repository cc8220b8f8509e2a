/*
 * The region table: which regions a pool has beside its heap, and which modules its program had.
 *
 * Third face of this room, for whoever keeps globals (the one writer of the table) and for those
 * who show what is in a pool. The table is memory: region 2 of the running program, or a copy that
 * region_table_read() has made.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "checkpoint.h"
#include "region-layout.h"

struct region_table {
	struct layout_region regions[LAYOUT_TABLE_REGIONS];
	struct layout_module modules[LAYOUT_TABLE_MODULES];
};
static_assert(sizeof(struct region_table) == CHECKPOINT_TABLE_PAGES * LAYOUT_BLOCK_BYTES,
	      "on media");

#define REGION_TABLE_E_DAMAGED 2 /* its pages are what was written, and make no sense */

struct region_table_finding {
	uint64_t offset; /* in the table */
	const char *what;
	uint64_t expected;
	uint64_t found;
};

/* region_table_read() - the table of the selected epoch; zeros while there was none.
 * 0, CHECKPOINT_E_DAMAGED, REGION_TABLE_E_DAMAGED (*ret_finding says what), -errno */
int region_table_read(struct checkpoint *checkpoint, struct region_table *ret_table,
		      struct region_table_finding *ret_finding);

/* region_table_verify() - believe nothing. 0 or REGION_TABLE_E_DAMAGED */
int region_table_verify(const struct region_table *table, struct region_table_finding *ret_finding);

/* region_table_announce() - let the engine know all regions of a verified table. 0 or -errno, and
 * *ret_id is the region it would not take */
int region_table_announce(struct checkpoint *checkpoint, const struct region_table *table,
			  uint32_t *ret_id);

/* The region of an entry in use, as the engine wants it; it is nowhere. */
struct region region_table_region(const struct layout_region *entry);

/* Names and build-ids as they stand in the table. */
struct region_name {
	char text[LAYOUT_NAME_BYTES];
	uint64_t sum;
};
struct region_name region_name_of(const char *name);

/* region_symbol_sum() - the sum of one more kept variable; of none it is 0. Never 0 */
uint64_t region_symbol_sum(uint64_t sum, const char *name, uint64_t size);

/* region_table_find() - the program's own, or the named module's; NULL: none yet.
 * region_table_free() - an unused entry, its id not yet in it; NULL: all are used */
struct layout_region *region_table_find(struct region_table *table, bool is_program,
					const struct region_name *name);
struct layout_region *region_table_free(struct region_table *table, uint32_t *ret_id);
