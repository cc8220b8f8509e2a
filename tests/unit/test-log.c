/* What the log is after a step of it failed half-way, on a disk that is well again at once: nothing
 * acknowledged is lost then, and nothing is used again that somebody may still ask for. */
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

static void store_and_commit(unsigned i)
{
	memory[i * 7 % PAGES][i % 64 * 64] = (char)(i + 1);
	memory[i * 3 % PAGES][i % 64 * 64] = (char)(i + 1);
	commit();
}

/* Whatever call of a merge fails, the last of its superblocks included: what the engine still reads
 * in the log stays there. */
Test(log, what_a_merge_left_half_way_is_not_overwritten)
{
	struct checkpoint_info info;

	for (uint64_t call = 0; call < 40; call++) {
		begin();
		for (unsigned i = 0; i < 12; i++)
			store_and_commit(i);
		disk.fault_from = disk.calls + call;
		disk.fault_until = disk.fault_from + 1;
		disk.fault = DISK_FAULT_EIO;
		checkpoint_merge(engine); /* or it fails */
		disk.fault = DISK_FAULT_NONE;
		for (unsigned i = 12; i < 200; i++) {
			store_and_commit(i);
			int more;
			while ((more = checkpoint_tend(engine)) == CHECKPOINT_MORE)
				;
			checkpoint_info(engine, &info);
			cr_assert_eq(more, 0, "call %llu, epoch %u", (unsigned long long)call, i);
			cr_assert_eq(info.damaged_pages, 0);
			assert_memory();
		}
		checkpoint_close(engine);
	}
}
