/* The regions of a pool, for info and ls: the heap, and the globals of modules. */
#pragma once

#include "checkpoint/region-table.h"
#include "image.h"

struct region_entry {
	char name[LAYOUT_NAME_BYTES];
	uint64_t start; /* its address; 0: where its module is loaded */
	uint64_t bytes;
};

struct region_list {
	unsigned count;
	struct region_entry entries[1 + LAYOUT_TABLE_REGIONS];
};

/* region_list_begin() - the heap alone; region_list_read() adds what the image's table names */
void region_list_begin(struct region_list *ret_list, const struct pool *pool);
int region_list_read(struct region_list *list, struct image *image, struct refusal *ret_why);

/* region_list_refuse() - what region_table_read() found */
int region_list_refuse(const struct image *image, int error,
		       const struct region_table_finding *finding, struct refusal *ret_why);

struct json_object;
struct json_object *region_list_new_json(const struct region_list *list);
void region_list_print(const struct region_list *list);
