/*
 * The region table's bytes: region 2, CHECKPOINT_TABLE_PAGES long, kept like every other region, so
 * that it goes back with its epoch.
 *
 *   page 0    +------------------------+
 *             | regions, 256 bytes each|  section 1
 *   page 16   +------------------------+
 *             | modules, 256 bytes each|  section 2
 *             +------------------------+
 *
 * Its pages are verified as all pages are; that they say something sensible is verified by
 * region-table.c. Names are zero-terminated and cut off at 127 bytes; the checksum beside a name is
 * of all of it. Little endian; reserved bytes and unused entries are zero.
 */
#pragma once

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define LAYOUT_TABLE_REGIONS 256u
#define LAYOUT_TABLE_MODULES 256u
#define LAYOUT_TABLE_FIRST_ID 3u /* of the region in entry 0; entry n has this + n */
#define LAYOUT_BUILD_ID_MAX 32u
#define LAYOUT_NAME_BYTES 128u

/*
 * ---- 1. Regions ----
 *
 * A region is entered without LAYOUT_REGION_COUNTS, which is set, by one store, when all of its
 * pages will be in the next epoch. Without it a region has a place and no contents.
 *
 * OFFSET  SIZE  MEANING
 *      0     4  id; 0: entry unused
 *      4     4  kind (enum layout_region_kind)
 *      8     8  number of pages
 *     16     8  bytes: in the last of these pages up to here
 *     24     8  home: offset in the space of regions
 *     32     8  what region_symbol_sum() makes of the kept variables, by address; 0: stripped
 *     40     8  XXH3-64 of the module's whole name
 *     48     4  flags (enum layout_region_flags)
 *     52     4  length of the build-id; 0: it has none
 *     56    32  build-id of the module that was last seen with it
 *     88    40  reserved
 *    128   128  name of the module: its SONAME, else the last part of its path
 */
enum layout_region_kind { LAYOUT_REGION_GLOBALS = 1 };

enum layout_region_flags {
	LAYOUT_REGION_COUNTS = 1,
	LAYOUT_REGION_PROGRAM = 2,  /* of the program itself, whatever its name */
	LAYOUT_REGION_AT_START = 4, /* the module was there before main */
	LAYOUT_REGION_FLAGS = 7,
};

struct layout_region {
	uint32_t id;
	uint32_t kind;
	uint64_t page_count;
	uint64_t bytes;
	uint64_t home_offset;
	uint64_t symbols;
	uint64_t name_sum;
	uint32_t flags;
	uint32_t build_id_len;
	uint8_t build_id[LAYOUT_BUILD_ID_MAX];
	uint8_t reserved[40];
	char name[LAYOUT_NAME_BYTES];
};
static_assert(sizeof(struct layout_region) == 256, "on media");
static_assert(offsetof(struct layout_region, home_offset) == 24, "on media");
static_assert(offsetof(struct layout_region, flags) == 48, "on media");
static_assert(offsetof(struct layout_region, build_id) == 56, "on media");
static_assert(offsetof(struct layout_region, name) == 128, "on media");

/*
 * ---- 2. Modules ----
 *
 * What was loaded, and where: pointers to code in the heap hold only as long as that is the same.
 * An entry without a name is unused; used ones come first.
 *
 * OFFSET  SIZE  MEANING
 *      0     8  base: what the loader added to the module's addresses
 *      8     8  XXH3-64 of its whole name
 *     16     4  length of the build-id; 0: it has none
 *     20     4  reserved
 *     24    32  build-id
 *     56    72  reserved
 *    128   128  name, as above
 */
struct layout_module {
	uint64_t base;
	uint64_t name_sum;
	uint32_t build_id_len;
	uint32_t reserved0;
	uint8_t build_id[LAYOUT_BUILD_ID_MAX];
	uint8_t reserved[72];
	char name[LAYOUT_NAME_BYTES];
};
static_assert(sizeof(struct layout_module) == 256, "on media");
static_assert(offsetof(struct layout_module, build_id) == 24, "on media");
static_assert(offsetof(struct layout_module, name) == 128, "on media");
