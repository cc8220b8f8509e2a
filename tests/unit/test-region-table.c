/* The region table: what is believed of one, what is not, and how its entries are found. */
#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include "checkpoint/region-table.h"

static struct region_table table;
static struct region_table_finding finding;

static struct layout_region *enter(const char *name, uint64_t bytes, uint64_t home_page)
{
	const struct region_name is = region_name_of(name);
	uint32_t id;
	struct layout_region *entry = region_table_free(&table, &id);

	cr_assert_not_null(entry);
	*entry = (struct layout_region){
		.id = id,
		.kind = LAYOUT_REGION_GLOBALS,
		.page_count = (bytes + 4095) / 4096,
		.bytes = bytes,
		.home_offset = home_page * 4096,
		.name_sum = is.sum,
		.flags = LAYOUT_REGION_COUNTS,
		.build_id_len = 20,
	};
	memcpy(entry->name, is.text, sizeof(entry->name));
	return entry;
}

static void enter_some(void)
{
	enter("libone.so", 100, 32);
	enter("libtwo.so", 4097, 40);
	enter("three", 4096, 42);
	strcpy(table.modules[0].name, "libc.so.6");
}

TestSuite(region_table, .init = enter_some);

Test(region_table, of_a_new_pool_is_zeros_and_fine)
{
	memset(&table, 0, sizeof(table));
	cr_assert_eq(region_table_verify(&table, &finding), 0);
}

Test(region_table, finds_what_was_entered_by_its_whole_name)
{
	char longer[200];
	struct region_name name = region_name_of("libtwo.so");

	cr_assert_eq(region_table_verify(&table, &finding), 0);
	cr_assert_eq(region_table_find(&table, false, &name), &table.regions[1]);
	memset(longer, 'x', sizeof(longer));
	longer[199] = '\0';
	enter(longer, 1, 50);
	longer[198] = 'y';
	enter(longer, 1, 51);
	cr_assert_eq(region_table_verify(&table, &finding), 0);
	name = region_name_of(longer);
	cr_assert_eq(region_table_find(&table, false, &name), &table.regions[4]);
	cr_assert_null(region_table_find(&table, true, &name));
}

Test(region_table, knows_the_program_under_any_name)
{
	const struct region_name name = region_name_of("renamed");

	table.regions[2].flags |= LAYOUT_REGION_PROGRAM;
	cr_assert_eq(region_table_find(&table, true, &name), &table.regions[2]);
}

Test(region_table, tells_the_engine_what_it_wants_to_know)
{
	const struct region region = region_table_region(&table.regions[1]);

	cr_assert_eq(region.id, LAYOUT_TABLE_FIRST_ID + 1);
	cr_assert_null(region.address);
	cr_assert_eq(region.page_count, 2);
	cr_assert_eq(region.bytes, 4097);
	cr_assert_eq(region.home_offset, 40 * 4096);
}

/* Each of these alone makes it a table that is not used. */
static void make_wrong(unsigned how)
{
	struct layout_region *entry = &table.regions[1];

	switch (how) {
	case 0: entry->id = LAYOUT_TABLE_FIRST_ID; break;
	case 1: entry->kind = 9; break;
	case 2: entry->bytes = 0; break;
	case 3: entry->bytes = UINT64_MAX; break;
	case 4: entry->page_count++; break;
	case 5: entry->page_count = UINT64_MAX / 4096; entry->bytes = UINT64_MAX - 5000; break;
	case 6: entry->home_offset++; break;
	case 7: entry->home_offset = 31 * 4096; break;
	case 8: entry->home_offset = UINT64_MAX & ~UINT64_C(4095); break;
	case 9: entry->home_offset = 41 * 4096; break;
	case 10: entry->home_offset = 32 * 4096; break;
	case 11: entry->flags = 8; break;
	case 12: entry->build_id_len = LAYOUT_BUILD_ID_MAX + 1; break;
	case 13: entry->name[0] = '\0'; break;
	case 14: memset(entry->name, 'x', sizeof(entry->name)); break;
	case 15: memcpy(entry->name, table.regions[0].name, sizeof(entry->name));
		 entry->name_sum = table.regions[0].name_sum; break;
	case 16: memset(table.modules[0].name, 'x', LAYOUT_NAME_BYTES); break;
	case 17: table.modules[0].build_id_len = UINT32_MAX; break;
	}
}

Test(region_table, that_makes_no_sense_is_not_used)
{
	struct region_table good = table;

	for (unsigned how = 0; how <= 17; how++) {
		table = good;
		make_wrong(how);
		cr_assert_eq(region_table_verify(&table, &finding), REGION_TABLE_E_DAMAGED,
			     "case %u", how);
		cr_assert_lt(finding.offset, sizeof(table));
	}
}

/* Garbage never crashes, and what is believed of it stays inside of the table. */
Test(region_table, made_of_random_bytes_is_read_without_harm)
{
	unsigned believed = 0;

	srandom(7);
	for (unsigned round = 0; round < 20000; round++) {
		memset(&table, 0, sizeof(table));
		enter_some();
		for (unsigned n = (unsigned)random() % 4; n < 4; n++)
			((char *)&table)[(size_t)random() % (3 * 256)] = (char)random();
		if (region_table_verify(&table, &finding) != 0)
			continue;
		believed++;
		for (unsigned i = 0; i < LAYOUT_TABLE_REGIONS; i++)
			cr_assert(!table.regions[i].id ||
				  strlen(table.regions[i].name) < LAYOUT_NAME_BYTES);
	}
	cr_assert_gt(believed, 100);
	for (unsigned round = 0; round < 200; round++) {
		for (size_t i = 0; i < sizeof(table); i++)
			((char *)&table)[i] = (char)random();
		cr_assert_eq(region_table_verify(&table, &finding), REGION_TABLE_E_DAMAGED);
	}
}
