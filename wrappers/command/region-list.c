/*
 * Of the heap the superblock says where it is; the others stand in the region table of an epoch.
 * Where a module's globals are is not known before it is loaded.
 */
#include "region-list.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"

void region_list_begin(struct region_list *ret_list, const struct pool *pool)
{
	ret_list->count = 1;
	ret_list->entries[0] = (struct region_entry){
		.name = "heap",
		.start = pool->sb.base,
		.bytes = pool->sb.size_bytes,
	};
}

int region_list_refuse(const struct image *image, int error,
		       const struct region_table_finding *finding, struct refusal *ret_why)
{
	if (error != REGION_TABLE_E_DAMAGED)
		return image_refuse_page(image, error, ret_why);
	return refuse(ret_why, STATUS_CORRUPT, image->pool->path,
		      "region table at offset %llu: %s: found %llu, expected %llu; "
		      "try an older epoch",
		      (unsigned long long)finding->offset, finding->what,
		      (unsigned long long)finding->found, (unsigned long long)finding->expected);
}

int region_list_read(struct region_list *list, struct image *image, struct refusal *ret_why)
{
	static struct region_table table;
	struct region_table_finding finding;
	int error = region_table_read(image->checkpoint, &table, &finding);

	if (error)
		return region_list_refuse(image, error, &finding, ret_why);
	for (unsigned i = 0; i < LAYOUT_TABLE_REGIONS; i++) {
		const struct layout_region *region = &table.regions[i];
		if (!region->id || !(region->flags & LAYOUT_REGION_COUNTS))
			continue;
		struct region_entry *entry = &list->entries[list->count++];
		*entry = (struct region_entry){.bytes = region->bytes};
		memcpy(entry->name, region->name, sizeof(entry->name));
	}
	return 0;
}

struct json_object *region_list_new_json(const struct region_list *list)
{
	struct json_object *array = json_object_new_array();

	for (unsigned i = 0; i < list->count; i++) {
		struct json_object *item = json_object_new_object();
		text_add_json(item, "name", list->entries[i].name);
		if (list->entries[i].start)
			text_add_number(item, "start", list->entries[i].start);
		else
			json_object_object_add(item, "start", NULL);
		text_add_number(item, "bytes", list->entries[i].bytes);
		json_object_array_add(array, item);
	}
	return array;
}

void region_list_print(const struct region_list *list)
{
	for (unsigned i = 0; i < list->count; i++) {
		const struct region_entry *entry = &list->entries[i];
		if (entry->start)
			text_print_field("region", "%s, 0x%llx-0x%llx", entry->name,
					 (unsigned long long)entry->start,
					 (unsigned long long)(entry->start + entry->bytes));
		else
			text_print_field("region", "%s, %llu bytes", entry->name,
					 (unsigned long long)entry->bytes);
	}
}
