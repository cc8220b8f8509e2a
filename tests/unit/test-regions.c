/* Regions beside the heap: added while epochs are made, each with its own bytes of home. */
#include "kept-pages.h"

#include <errno.h>

TestSuite(regions, .init = scratch_open, .fini = scratch_close);

/* A module of the program is loaded while epochs are made. */
Test(regions, a_region_may_come_late_and_its_pages_come_back)
{
	static char late[700][PAGE] __attribute__((aligned(4096)));
	static char page[PAGE] __attribute__((aligned(64)));
	struct region module = {
		.id = 9, .page_count = 700, .home = LAYOUT_USE_REGIONS, .home_offset = UINT64_MAX,
	};
	const uint64_t where[] = {0, 699};
	struct region other = module;
	uint64_t epoch;

	make_pool_on(&disk);
	open_engine(&disk.medium);
	cr_assert_eq(checkpoint_add_region(engine, &module), 0);
	other.id = 10;
	cr_assert_eq(checkpoint_add_region(engine, &other), 0);
	cr_assert_eq(module.home_offset, 0);
	cr_assert_eq(other.home_offset, 700 * PAGE);
	for (char i = 1; i < 8; i++) {
		for (unsigned j = 0; j < 2; j++)
			late[where[j]][5] = (char)(i + j);
		const struct checkpoint_page pages[] = {
			{9, 0, late[0]}, {9, 699, late[699]}, {10, 0, late[0]}, {10, 699, late[699]}};
		cr_assert_eq(checkpoint_commit(engine, pages, 4, &epoch), 0);
		cr_assert_eq(checkpoint_merge(engine), 0);
	}
	checkpoint_close(engine);
	open_engine(&disk.medium);
	cr_assert_eq(checkpoint_add_region(engine, &module), 0);
	cr_assert_eq(checkpoint_add_region(engine, &other), 0);
	for (unsigned j = 0; j < 2; j++) {
		cr_assert_eq(checkpoint_page(engine, 9, where[j], page), 0);
		cr_assert_arr_eq(page, late[where[j]], PAGE);
		cr_assert_eq(checkpoint_page(engine, 10, where[j], page), 0);
		cr_assert_arr_eq(page, late[where[j]], PAGE);
	}
	checkpoint_close(engine);
}

Test(regions, refuses_a_region_that_would_share_a_byte_of_home)
{
	struct region one = {.id = 9, .page_count = 4, .home = LAYOUT_USE_REGIONS};
	struct region two = one, beyond = one, heap = {.id = 12, .page_count = 1, .home = LAYOUT_USE_HEAP};

	make_pool_on(&disk);
	open_engine(&disk.medium);
	one.home_offset = UINT64_MAX;
	cr_assert_eq(checkpoint_add_region(engine, &one), 0);
	cr_assert_eq(checkpoint_add_region(engine, &one), 0);
	two.id = 10;
	two.home_offset = 3 * PAGE;
	cr_assert_eq(checkpoint_add_region(engine, &two), -EEXIST);
	two = one;
	two.page_count++;
	cr_assert_eq(checkpoint_add_region(engine, &two), -EEXIST);
	cr_assert_eq(checkpoint_add_region(engine, &heap), -EEXIST);
	beyond.id = 11;
	beyond.home_offset = UINT64_C(1) << 40;
	cr_assert_eq(checkpoint_add_region(engine, &beyond), -ERANGE);
	checkpoint_close(engine);
}

Test(regions, keeps_more_regions_than_a_program_has_modules)
{
	struct region module = {.page_count = 1, .home = LAYOUT_USE_REGIONS};
	uint64_t ends = 0;

	make_pool_on(&disk);
	open_engine(&disk.medium);
	for (unsigned i = 0; i < 300; i++) {
		module.id = 1000 + 64 * i;
		module.home_offset = UINT64_MAX;
		cr_assert_eq(checkpoint_add_region(engine, &module), 0);
		cr_assert_eq(module.home_offset, ends);
		ends += PAGE;
	}
	checkpoint_close(engine);
}


/* Whoever wants to know how a process was started need not know of its million pages. */
Test(regions, one_alone_can_be_read_and_then_nothing_written)
{
	static char others[PAGES][PAGE] __attribute__((aligned(4096)));
	static char page[PAGE] __attribute__((aligned(64)));
	struct region other = {
		.id = 9, .page_count = PAGES, .home = LAYOUT_USE_REGIONS, .home_offset = UINT64_MAX,
	};
	struct checkpoint_plan one_plan = plan;
	struct checkpoint_page pages[2 * PAGES];
	uint64_t epoch;

	make_pool_on(&disk);
	open_engine(&disk.medium);
	cr_assert_eq(checkpoint_add_region(engine, &other), 0);
	for (unsigned i = 0; i < PAGES; i++) {
		memset(memory[i], (int)(i + 1), PAGE);
		memset(others[i], (int)(i + 101), PAGE);
		pages[2 * i] = (struct checkpoint_page){region.id, i, memory[i]};
		pages[2 * i + 1] = (struct checkpoint_page){9, i, others[i]};
	}
	cr_assert_eq(checkpoint_commit(engine, pages, 2 * PAGES, &epoch), 0);
	cr_assert_eq(checkpoint_entry_count(engine), 2 * PAGES);
	checkpoint_close(engine);
	one_plan.only_region = 9;
	cr_assert_eq(checkpoint_open(&engine, &disk.medium, &one_plan, &why), 0, "%s", why.line);
	cr_assert_eq(checkpoint_add_region(engine, &other), 0);
	cr_assert_eq(checkpoint_entry_count(engine), PAGES);
	for (unsigned i = 0; i < PAGES; i++) {
		cr_assert_eq(checkpoint_page(engine, 9, i, page), 0);
		cr_assert_arr_eq(page, others[i], PAGE);
	}
	cr_assert_eq(checkpoint_attach(engine), -EINVAL);
	checkpoint_close(engine);
}

/* Whichever of its steps fails: what is told to be there the next time is in both superblocks. */
Test(regions, growth_that_got_half_way_is_made_whole)
{
	static struct disk empty;
	unsigned failed = 0;

	make_pool_on(&empty);
	disk_init(&disk);
	for (uint64_t call = 0; call < 8; call++) {
		struct region other = {.id = 9, .page_count = 600, .home = LAYOUT_USE_REGIONS,
				       .home_offset = UINT64_MAX};
		const struct layout_superblock *slots = (const struct layout_superblock *)disk.view;
		disk_copy(&disk, &empty);
		open_engine(&disk.medium);
		disk.fault_from = disk.calls + call;
		disk.fault_until = disk.fault_from + 1;
		disk.fault = DISK_FAULT_EIO;
		failed += checkpoint_add_region(engine, &other) != 0;
		disk.fault = DISK_FAULT_NONE;
		other.home_offset = UINT64_MAX;
		cr_assert_eq(checkpoint_add_region(engine, &other), 0);
		for (unsigned i = 0; i < 2; i++)
			cr_assert_eq(slots[i].checksum, superblock_checksum(&slots[i]), "call %u",
				     (unsigned)call);
		cr_assert_eq(slots[0].extent_count, slots[1].extent_count);
		checkpoint_close(engine);
	}
	cr_assert_gt(failed, 3);
}
