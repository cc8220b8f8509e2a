/*
 * The head of a pool: superblocks, control page, reserved bytes. A pool opens with one good
 * superblock, so that it opens does not say that it is whole: each part is looked at by itself.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "checking.h"
#include "control.h"
#include "os.h"
#include "superblock.h"

static bool head_read(struct check *check, const char *where, uint64_t offset, void *buffer,
		       size_t len)
{
	int error = os_pread_all(check->fd, buffer, len, offset);

	if (error == -EIO && offset + len > check->file_bytes)
		finding_add(&check->findings, where, offset, "end of file", "readable bytes");
	else if (error)
		finding_add(&check->findings, where, offset, strerror(-error), "readable bytes");
	return !error;
}

static void head_check_superblock(struct check *check, int slot)
{
	struct layout_superblock sb;
	struct refusal why;
	uint64_t offset = (uint64_t)slot * LAYOUT_BLOCK_BYTES;
	char where[32];

	snprintf(where, sizeof(where), "superblock %d", slot);
	if (!head_read(check, where, offset, &sb, sizeof(sb)))
		return;
	if (sb.magic != LAYOUT_MAGIC)
		finding_add_number(&check->findings, where, offset, sb.magic, LAYOUT_MAGIC);
	else if (sb.checksum != superblock_checksum(&sb))
		finding_add_number(&check->findings, where,
				 offset + offsetof(struct layout_superblock, checksum),
				 sb.checksum, superblock_checksum(&sb));
	else if (superblock_verify(&sb, slot, check->file_bytes, check->path, &why) != 0)
		finding_add(&check->findings, where, offset, why.line, "fields within their bounds");
}

static void head_check_control(struct check *check)
{
	struct control control;

	if (!head_read(check, "control page", LAYOUT_CONTROL_OFFSET, &control,
			sizeof(control)))
		return;
	if (control.magic == 0) /* no owner yet */
		return;
	if (control.magic != LAYOUT_CONTROL_MAGIC)
		finding_add_number(&check->findings, "control page", LAYOUT_CONTROL_OFFSET, control.magic,
				 LAYOUT_CONTROL_MAGIC);
}

static void head_check_reserved(struct check *check)
{
	for (uint64_t at = LAYOUT_CONTROL_OFFSET + LAYOUT_BLOCK_BYTES;
	     at < LAYOUT_HEAD_BYTES; at += LAYOUT_BLOCK_BYTES) {
		uint64_t words[LAYOUT_BLOCK_BYTES / sizeof(uint64_t)];
		if (!head_read(check, "reserved head", at, words, sizeof(words)))
			return;
		for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
			if (!words[i])
				continue;
			finding_add_number(&check->findings, "reserved head", at + i * sizeof(words[0]),
					 words[i], 0);
			return;
		}
	}
}

void check_head(struct check *check)
{
	head_check_superblock(check, 0);
	head_check_superblock(check, 1);
	head_check_control(check);
	head_check_reserved(check);
}
