/*
 * The problem: what a superblock says becomes true at an unknown instant between its write and
 * the end of its sync, one of the two may rot, and a failed sync leaves a slot whose bytes nobody
 * knows. The trick: whatever is to be relied upon is written to both slots, one after the other,
 * each synced alone; the slot not holding the newest known superblock is the only one ever
 * written. The guarantee: at each instant one slot is whole, both contents a recovery may find are
 * legal, and after an update every valid superblock says the new thing.
 */
#include "anchor.h"

#include <string.h>

#include "superblock.h"

static bool slot_is_whole(const struct layout_superblock *sb)
{
	return sb->magic == LAYOUT_MAGIC && sb->checksum == superblock_checksum(sb);
}

int anchor_open(struct anchor *ret_anchor, struct medium *medium, struct refusal *ret_why)
{
	struct layout_superblock slots[2];
	uint64_t file_bytes;
	int slot;
	int error = medium_size(medium, &file_bytes);

	if (!error && file_bytes < LAYOUT_HEAD_BYTES)
		return refuse(ret_why, STATUS_CORRUPT, medium->name,
			      "truncated: found %llu bytes, expected at least %llu; restore it from a "
			      "copy, or remove it", (unsigned long long)file_bytes,
			      (unsigned long long)LAYOUT_HEAD_BYTES);
	if (!error)
		error = medium_read(medium, slots, sizeof(slots), 0);
	if (error)
		return refuse(ret_why, STATUS_CORRUPT, medium->name,
			      "cannot read the superblocks: error %d (%s); look at the disk", -error,
			      strerrordesc_np(-error));
	ret_anchor->medium = medium;
	ret_anchor->is_twin = false;
	ret_anchor->is_adopted = false;
	/* If one is lost, it may have been the one with a later trim. */
	ret_anchor->is_trim_certain = slot_is_whole(&slots[0]) && slot_is_whole(&slots[1]) &&
		memcmp(&slots[0].trim, &slots[1].trim, sizeof(slots[0].trim)) == 0;
	return superblock_choose(slots, file_bytes, medium->name, &ret_anchor->sb, &slot, ret_why);
}

static int write_slot(struct anchor *anchor, struct layout_superblock *sb)
{
	sb->checksum = superblock_checksum(sb);
	int error = medium_write(anchor->medium, sb, sizeof(*sb),
				 (sb->seq & 1) * LAYOUT_BLOCK_BYTES);
	if (!error) /* the other slot, and whatever the caller frees, rely on this one */
		error = medium_sync(anchor->medium);
	if (!error)
		anchor->sb = *sb;
	return error;
}

int anchor_adopt(struct anchor *anchor)
{
	struct layout_superblock same = anchor->sb;

	if (anchor->is_adopted)
		return 0;
	int error = write_slot(anchor, &same);
	anchor->is_adopted = !error;
	return error;
}

int anchor_update(struct anchor *anchor, const struct layout_superblock *next)
{
	struct layout_superblock sb = *next;
	int error = anchor_adopt(anchor);

	for (int slot = 0; slot < 2 && !error; slot++) {
		anchor->is_twin = false;
		sb.seq = anchor->sb.seq + 1;
		error = write_slot(anchor, &sb);
	}
	anchor->is_twin = anchor->is_twin || !error;
	return error;
}

int anchor_attach(struct anchor *anchor, uint64_t epoch)
{
	struct layout_superblock next = anchor->sb;

	if (next.attached == epoch)
		return anchor_settle(anchor);
	next.attached = epoch;
	return anchor_update(anchor, &next);
}

int anchor_settle(struct anchor *anchor)
{
	return anchor->is_twin ? 0 : anchor_update(anchor, &anchor->sb);
}
