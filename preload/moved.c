/*
 * Code that stands elsewhere.
 *
 * A pointer to a function, or an object with virtual functions, is found in the heap as it was
 * left; what it points to is there only if its module was loaded at the same address, from the same
 * build. So every epoch has the list of modules, made when main begins and brought up to date when
 * kept globals of another module come; and a run that goes on compares it with its own.
 *
 * Modules that are not there (yet) are not counted: a plugin is loaded when it is.
 */
#include "keep.h"

#include <string.h>

#include "module.h"
#include "say.h"

struct compare {
	const struct region_table *table;
	unsigned count;
};

static const struct layout_module *find(const struct region_table *table,
					const struct module *module)
{
	for (unsigned i = 0; i < LAYOUT_TABLE_MODULES; i++) {
		const struct layout_module *entry = &table->modules[i];
		if (entry->name_sum == module->name.sum &&
		    memcmp(entry->name, module->name.text, sizeof(entry->name)) == 0)
			return entry;
	}
	return NULL;
}

static bool has_build_id(const struct layout_module *entry, const struct module *module)
{
	return entry->build_id_len == module->build_id_len &&
	       memcmp(entry->build_id, module->build_id, module->build_id_len) == 0;
}

static void tell(const struct layout_module *entry, const struct module *module)
{
	if (!has_build_id(entry, module))
		say(SAY_WARN, module->name.text, "is another build than in the epoch this run goes on "
		    "from; kept pointers to its code are stale: set them anew");
	else
		say(SAY_WARN, module->name.text, "stood at 0x%llx in the epoch this run goes on from, "
		    "and stands at 0x%llx; kept pointers to code are stale: set them anew, or start "
		    "with heapsake run, which switches address randomisation off",
		    (unsigned long long)entry->base, (unsigned long long)module->base);
}

static bool compare(void *context, const struct module *module)
{
	struct compare *compare = context;
	const struct layout_module *entry = find(compare->table, module);

	if (!entry || (entry->base == module->base && has_build_id(entry, module)))
		return true;
	if (compare->count++ == 0)
		tell(entry, module);
	return true;
}

unsigned moved_compare(const struct region_table *table)
{
	struct compare context = {.table = table};

	module_visit(compare, &context);
	return context.count;
}

struct record {
	struct region_table *table;
	unsigned count;
};

/* Stores nothing where the same stands: an unchanged list dirties no page. */
static void set(struct layout_module *entry, const struct layout_module *value)
{
	if (memcmp(entry, value, sizeof(*entry)) != 0)
		*entry = *value;
}

static bool record(void *context, const struct module *module)
{
	struct record *record = context;
	struct layout_module entry = {
		.base = module->base,
		.name_sum = module->name.sum,
		.build_id_len = module->build_id_len,
	};

	if (record->count == LAYOUT_TABLE_MODULES)
		return false;
	memcpy(entry.build_id, module->build_id, sizeof(entry.build_id));
	memcpy(entry.name, module->name.text, sizeof(entry.name));
	set(&record->table->modules[record->count++], &entry);
	return true;
}

void moved_record(struct region_table *table)
{
	const struct layout_module unused = {0};
	struct record context = {.table = table};

	module_visit(record, &context);
	for (unsigned i = context.count; i < LAYOUT_TABLE_MODULES; i++)
		set(&table->modules[i], &unused);
}
