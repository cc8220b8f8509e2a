/*
 * The problem: which regions a pool has is itself something to be kept, for it changes when a
 * module is loaded, and must be known before the first page of such a region is looked for. The
 * trick: it is a region with a fixed number and place, so that epochs, recovery and older epochs
 * hold for it without a word. The guarantee: no entry is used that does not make sense by itself
 * and beside all others, whatever bytes the pool has.
 *
 * The number of a region is that of its entry: two regions cannot have the same.
 */
#include "region-table.h"

#include <string.h>

#include "sum.h"

static int damaged(const struct region_table *table, const void *at, const char *what,
		   uint64_t expected, uint64_t found, struct region_table_finding *ret_finding)
{
	*ret_finding = (struct region_table_finding){
		.offset = (uint64_t)((const char *)at - (const char *)table),
		.what = what,
		.expected = expected,
		.found = found,
	};
	return REGION_TABLE_E_DAMAGED;
}

static bool name_is_valid(const char name[LAYOUT_NAME_BYTES])
{
	return name[0] != '\0' && memchr(name, '\0', LAYOUT_NAME_BYTES);
}

static uint64_t pages_of(uint64_t bytes)
{
	return bytes / LAYOUT_BLOCK_BYTES + (bytes % LAYOUT_BLOCK_BYTES != 0);
}

static uint64_t home_end(const struct layout_region *entry)
{
	return entry->home_offset + entry->page_count * LAYOUT_BLOCK_BYTES;
}

static int verify_region(const struct region_table *table, unsigned index,
			 struct region_table_finding *ret_finding)
{
	const struct layout_region *entry = &table->regions[index];
	const uint32_t id = LAYOUT_TABLE_FIRST_ID + index;
	const uint64_t table_end = CHECKPOINT_TABLE_PAGES * LAYOUT_BLOCK_BYTES;

	if (entry->id != id)
		return damaged(table, &entry->id, "number of a region", id, entry->id, ret_finding);
	if (entry->kind != LAYOUT_REGION_GLOBALS)
		return damaged(table, &entry->kind, "kind of a region", LAYOUT_REGION_GLOBALS,
			       entry->kind, ret_finding);
	if (entry->bytes == 0 || entry->page_count != pages_of(entry->bytes) ||
	    entry->page_count > LAYOUT_PAGE_MAX)
		return damaged(table, &entry->page_count, "pages of a region", pages_of(entry->bytes),
			       entry->page_count, ret_finding);
	if (entry->home_offset % LAYOUT_BLOCK_BYTES || entry->home_offset < table_end ||
	    entry->home_offset >= UINT64_C(1) << 62)
		return damaged(table, &entry->home_offset, "place of a region", table_end,
			       entry->home_offset, ret_finding);
	if (entry->flags & ~(uint32_t)LAYOUT_REGION_FLAGS)
		return damaged(table, &entry->flags, "flags of a region", LAYOUT_REGION_FLAGS,
			       entry->flags, ret_finding);
	if (entry->build_id_len > LAYOUT_BUILD_ID_MAX)
		return damaged(table, &entry->build_id_len, "length of a build-id",
			       LAYOUT_BUILD_ID_MAX, entry->build_id_len, ret_finding);
	if (!name_is_valid(entry->name))
		return damaged(table, entry->name, "name of a region's module", 1, 0, ret_finding);
	return 0;
}

static int verify_beside(const struct region_table *table, unsigned index,
			 struct region_table_finding *ret_finding)
{
	const struct layout_region *entry = &table->regions[index];

	for (unsigned i = 0; i < index; i++) {
		const struct layout_region *other = &table->regions[i];
		if (!other->id)
			continue;
		if (home_end(other) > entry->home_offset && home_end(entry) > other->home_offset)
			return damaged(table, &entry->home_offset, "place of two regions",
				       home_end(other), entry->home_offset, ret_finding);
		if (entry->name_sum == other->name_sum &&
		    memcmp(entry->name, other->name, sizeof(entry->name)) == 0)
			return damaged(table, entry->name, "name of two regions", other->id,
				       entry->id, ret_finding);
	}
	return 0;
}

static int verify_module(const struct region_table *table, unsigned index,
			 struct region_table_finding *ret_finding)
{
	const struct layout_module *module = &table->modules[index];

	if (module->build_id_len > LAYOUT_BUILD_ID_MAX)
		return damaged(table, &module->build_id_len, "length of a build-id",
			       LAYOUT_BUILD_ID_MAX, module->build_id_len, ret_finding);
	if (module->name[0] && !name_is_valid(module->name))
		return damaged(table, module->name, "name of a module", 1, 0, ret_finding);
	return 0;
}

int region_table_verify(const struct region_table *table, struct region_table_finding *ret_finding)
{
	int error = 0;

	for (unsigned i = 0; !error && i < LAYOUT_TABLE_REGIONS; i++) {
		if (!table->regions[i].id)
			continue;
		error = verify_region(table, i, ret_finding);
		if (!error)
			error = verify_beside(table, i, ret_finding);
	}
	for (unsigned i = 0; !error && i < LAYOUT_TABLE_MODULES; i++)
		error = verify_module(table, i, ret_finding);
	return error;
}

int region_table_read(struct checkpoint *checkpoint, struct region_table *ret_table,
		      struct region_table_finding *ret_finding)
{
	char *at = (char *)ret_table;
	int error = 0;

	for (uint64_t page = 0; !error && page < CHECKPOINT_TABLE_PAGES; page++)
		error = checkpoint_page(checkpoint, CHECKPOINT_REGION_TABLE, page,
					at + page * LAYOUT_BLOCK_BYTES);
	return error ? error : region_table_verify(ret_table, ret_finding);
}

struct region region_table_region(const struct layout_region *entry)
{
	return (struct region){
		.id = entry->id,
		.kind = entry->kind,
		.page_count = entry->page_count,
		.bytes = entry->bytes,
		.home = LAYOUT_USE_REGIONS,
		.home_offset = entry->home_offset,
	};
}

int region_table_announce(struct checkpoint *checkpoint, const struct region_table *table,
			  uint32_t *ret_id)
{
	for (unsigned i = 0; i < LAYOUT_TABLE_REGIONS; i++) {
		if (!table->regions[i].id)
			continue;
		struct region region = region_table_region(&table->regions[i]);
		int error = checkpoint_add_region(checkpoint, &region);
		if (error) {
			*ret_id = region.id;
			return error;
		}
	}
	return 0;
}

struct region_name region_name_of(const char *name)
{
	struct region_name result = {.sum = sum_bytes(name, strlen(name), 0)};

	strncpy(result.text, name, sizeof(result.text) - 1);
	return result;
}

uint64_t region_symbol_sum(uint64_t sum, const char *name, uint64_t size)
{
	const uint64_t words[2] = {size, sum_bytes(name, strlen(name), sum)};
	const uint64_t next = sum_bytes(words, sizeof(words), sum);

	return next ? next : 1;
}

struct layout_region *region_table_find(struct region_table *table, bool is_program,
					const struct region_name *name)
{
	for (unsigned i = 0; i < LAYOUT_TABLE_REGIONS; i++) {
		struct layout_region *entry = &table->regions[i];
		const bool is_programs = entry->flags & LAYOUT_REGION_PROGRAM;
		if (!entry->id || is_programs != is_program)
			continue;
		if (is_program || (entry->name_sum == name->sum &&
				   memcmp(entry->name, name->text, sizeof(entry->name)) == 0))
			return entry;
	}
	return NULL;
}

struct layout_region *region_table_free(struct region_table *table, uint32_t *ret_id)
{
	for (unsigned i = 0; i < LAYOUT_TABLE_REGIONS; i++) {
		if (table->regions[i].id)
			continue;
		*ret_id = LAYOUT_TABLE_FIRST_ID + i;
		return &table->regions[i];
	}
	return NULL;
}
