/*
 * Kept globals: the HSK_KEEP sections of the program and of its libraries.
 */
#include "keep.h"

#include <string.h>

#include "os.h"

struct region_table keep_table __attribute__((aligned(OS_PAGE_BYTES)));

static int refuse_table(int error, struct checkpoint *checkpoint,
			const struct region_table_finding *finding, const char *pool_path,
			struct refusal *ret_why)
{
	const struct home_fault fault = checkpoint_fault(checkpoint);

	if (error == REGION_TABLE_E_DAMAGED)
		return refuse(ret_why, STATUS_CORRUPT, pool_path,
			      "its table of regions at %llu: %s: expected %llu, found %llu; try an older "
			      "epoch with --epoch=-1", (unsigned long long)finding->offset, finding->what,
			      (unsigned long long)finding->expected, (unsigned long long)finding->found);
	if (error == CHECKPOINT_E_DAMAGED)
		return refuse(ret_why, STATUS_CORRUPT, pool_path,
			      "its table of regions at offset %llu of the file is damaged: checksum "
			      "expected %016llx, found %016llx; try an older epoch with --epoch=-1",
			      (unsigned long long)fault.file_offset, (unsigned long long)fault.expected,
			      (unsigned long long)fault.found);
	return refuse(ret_why, STATUS_CORRUPT, pool_path,
		      "its table of regions cannot be read: %s; look at the disk",
		      strerrordesc_np(-error));
}

int keep_load(struct checkpoint *checkpoint, const char *pool_path, struct refusal *ret_why)
{
	struct region_table_finding finding = {0};
	uint32_t id = CHECKPOINT_REGION_TABLE;
	int error = region_table_read(checkpoint, &keep_table, &finding);

	if (error)
		return refuse_table(error, checkpoint, &finding, pool_path, ret_why);
	error = region_table_announce(checkpoint, &keep_table, &id);
	if (error)
		return refuse(ret_why, STATUS_CORRUPT, pool_path,
			      "region %u of its table has no place in it: %s; try an older epoch with "
			      "--epoch=-1", id, strerrordesc_np(-error));
	return 0;
}

bool keep_has_regions(void)
{
	for (unsigned i = 0; i < LAYOUT_TABLE_REGIONS; i++)
		if (keep_table.regions[i].flags & LAYOUT_REGION_COUNTS)
			return true;
	return false;
}
