/* What the log is after a step of it failed half-way, on a disk that is well again at once: nothing
 * acknowledged is lost then. */
#include <errno.h>

#include "kept-pages.h"

static struct disk empty;

static void open_all(void)
{
	scratch_open();
	make_pool_on(&empty);
	disk_init(&disk);
}

TestSuite(log, .init = open_all, .fini = scratch_close);

static void begin(void)
{
	disk_copy(&disk, &empty);
	memset(memory, 0, sizeof(memory));
	open_engine(&disk.medium);
}

/* The header of a segment fails, and is on media all the same: the one before must not be used any
 * more, even for a record that finds room there. */
Test(log, a_header_that_failed_gives_up_the_segment_before)
{
	struct checkpoint_info info;

	for (unsigned seed = 0; seed < 16; seed++) {
		uint64_t none;
		begin();
		for (char i = 1; i < 3; i++) { /* a block each; one is left */
			memory[0][0] = i;
			commit();
		}
		memset(memory[1], 1, PAGE);
		disk.random = seed;
		disk.fault = DISK_FAULT_APPEND;
		cr_assert_eq(checkpoint_commit_compared(engine, &none), -EIO);
		memset(memory[1], 0, PAGE);
		memory[0][0] = 3;
		const uint64_t acknowledged = commit();
		checkpoint_close(engine);
		open_engine(&disk.medium);
		checkpoint_info(engine, &info);
		cr_assert_eq(info.epoch, acknowledged);
		assert_memory();
		checkpoint_close(engine);
	}
}
