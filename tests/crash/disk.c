#include "disk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define BLOCK_BYTES 4096u

uint64_t random_next(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static void *memory(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED) {
		perror("mmap");
		exit(2);
	}
	return p;
}

static struct disk *disk_of(struct medium *medium)
{
	return (struct disk *)medium;
}

static void point(struct disk *disk)
{
	if (disk->on_point)
		disk->on_point(disk);
}

static void touch(struct disk *disk, uint64_t offset, uint64_t len)
{
	for (uint64_t block = offset / BLOCK_BYTES; block <= (offset + len - 1) / BLOCK_BYTES; block++) {
		disk->touched[block] = 1;
		if (block >= disk->touched_end)
			disk->touched_end = (uint32_t)block + 1;
	}
}

static void add_version(struct disk *disk, uint32_t sector)
{
	if (disk->version_count == disk->version_capacity) {
		disk->version_capacity = disk->version_capacity ? 2 * disk->version_capacity : 1024;
		disk->versions = realloc(disk->versions,
					 disk->version_capacity * sizeof(*disk->versions));
		if (!disk->versions)
			exit(2);
	}
	struct disk_version *version = &disk->versions[disk->version_count++];
	version->sector = sector;
	version->is_lost = false;
	memcpy(version->bytes, disk->view + (uint64_t)sector * SECTOR_BYTES, SECTOR_BYTES);
}

/* NULL: zeros */
static void store(struct disk *disk, const void *bytes, uint64_t len, uint64_t offset)
{
	if (!len)
		return;
	touch(disk, offset, len);
	if (bytes)
		memcpy(disk->view + offset, bytes, len);
	else
		memset(disk->view + offset, 0, len);
	for (uint64_t sector = offset / SECTOR_BYTES; sector <= (offset + len - 1) / SECTOR_BYTES; sector++)
		add_version(disk, (uint32_t)sector);
}

/* Makes versions from `first` on certain, unless lost; drops what they replace. */
static void settle(struct disk *disk, uint32_t first)
{
	uint32_t kept = 0;
	const uint32_t stamp = ++disk->stamp;

	for (uint32_t i = first; i < disk->version_count; i++) {
		struct disk_version *version = &disk->versions[i];
		if (version->is_lost)
			continue;
		memcpy(disk->media + (uint64_t)version->sector * SECTOR_BYTES, version->bytes,
		       SECTOR_BYTES);
		disk->marks[version->sector] = stamp;
	}
	for (uint32_t i = 0; i < disk->version_count; i++)
		if (disk->marks[disk->versions[i].sector] != stamp)
			disk->versions[kept++] = disk->versions[i];
	disk->version_count = kept;
}

static int fault(struct disk *disk)
{
	const uint64_t call = disk->calls++;

	if (call < disk->fault_from || call >= disk->fault_until)
		return 0;
	return disk->fault == DISK_FAULT_EIO ? -EIO : disk->fault == DISK_FAULT_NO_SPACE ? -ENOSPC : 0;
}

static bool refuses_writing(struct disk *disk)
{
	disk->was_written |= disk->is_read_only;
	return disk->is_read_only;
}

static int disk_read(struct medium *medium, void *buffer, size_t len, uint64_t offset)
{
	struct disk *disk = disk_of(medium);

	if (offset > disk->view_bytes || len > disk->view_bytes - offset)
		return -EIO;
	memcpy(buffer, disk->view + offset, len);
	return 0;
}

/* A failing write may have got anywhere. */
static int disk_write(struct medium *medium, const void *buffer, size_t len, uint64_t offset)
{
	struct disk *disk = disk_of(medium);
	int error = fault(disk);

	if (refuses_writing(disk))
		return -EROFS;
	if (offset > disk->view_bytes || len > disk->view_bytes - offset)
		return -EFBIG;
	store(disk, buffer, error ? random_below(&disk->random, (uint32_t)len + 1) : len, offset);
	return error;
}

static int disk_punch(struct medium *medium, uint64_t offset, uint64_t len)
{
	struct disk *disk = disk_of(medium);
	int error = fault(disk);

	if (refuses_writing(disk))
		return -EROFS;
	if (error)
		return error;
	if (len <= BLOCK_BYTES) {
		store(disk, NULL, len, offset);
		return 0;
	}
	for (uint64_t at = offset; at < offset + len; at += BLOCK_BYTES)
		if (disk->touched[at / BLOCK_BYTES])
			store(disk, NULL, BLOCK_BYTES, at);
	return 0;
}

static void lose(struct disk *disk, uint32_t first)
{
	for (uint32_t i = first; i < disk->version_count; i++)
		disk->versions[i].is_lost = true;
}

static int disk_sync(struct medium *medium)
{
	struct disk *disk = disk_of(medium);
	int error = fault(disk);

	if (refuses_writing(disk))
		return -EROFS;
	if (disk->fault == DISK_FAULT_SYNC) { /* one */
		error = -EIO;
		disk->fault = DISK_FAULT_NONE;
	}
	point(disk);
	if (error)
		lose(disk, 0);
	else
		settle(disk, 0);
	point(disk);
	return error;
}

static int disk_append(struct medium *medium, const void *buffer, size_t len, uint64_t offset)
{
	struct disk *disk = disk_of(medium);
	int error = fault(disk);
	const uint32_t first = disk->version_count;

	if (refuses_writing(disk))
		return -EROFS;
	if (offset > disk->view_bytes || len > disk->view_bytes - offset)
		return -EFBIG;
	if (disk->fault == DISK_FAULT_APPEND) {
		disk->fault = DISK_FAULT_NONE;
		error = -EIO;
	}
	if (error) { /* a piece of it got to the disk, and whether that lasts is open */
		len = random_below(&disk->random, 2) ? len
						     : random_below(&disk->random, (uint32_t)len / 512 + 1) * 512;
	}
	store(disk, buffer, len, offset);
	point(disk);
	if (error)
		lose(disk, first);
	else
		settle(disk, first);
	point(disk);
	return error;
}

static int disk_extend(struct medium *medium, uint64_t file_bytes)
{
	struct disk *disk = disk_of(medium);
	int error = fault(disk);

	if (refuses_writing(disk))
		return -EROFS;
	if (file_bytes > DISK_BYTES)
		return -ENOSPC;
	if (error || file_bytes <= disk->view_bytes)
		return error;
	disk->view_bytes = file_bytes;
	point(disk);
	disk->media_bytes = file_bytes;
	return 0;
}

static int disk_size(struct medium *medium, uint64_t *ret_bytes)
{
	*ret_bytes = disk_of(medium)->view_bytes;
	return 0;
}

static int disk_find_data(struct medium *medium, uint64_t *from, uint64_t *end)
{
	struct disk *disk = disk_of(medium);
	const uint64_t to = *end;

	while (*from < to && !disk->touched[*from / BLOCK_BYTES])
		*from += BLOCK_BYTES;
	for (*end = *from; *end < to && disk->touched[*end / BLOCK_BYTES];)
		*end += BLOCK_BYTES;
	return 0;
}

/* Half of the time, so that both ways are gone. */
static const void *disk_view(struct medium *medium, size_t len, uint64_t offset)
{
	const struct disk *disk = disk_of(medium);

	return offset + len <= disk->view_bytes && disk->calls % 2 ? disk->view + offset : NULL;
}

static const struct medium_table disk_table = {
	.read = disk_read,
	.write = disk_write,
	.punch = disk_punch,
	.sync = disk_sync,
	.append = disk_append,
	.extend = disk_extend,
	.size = disk_size,
	.find_data = disk_find_data,
	.view = disk_view,
};

void disk_init(struct disk *disk)
{
	*disk = (struct disk){
		.medium = {.table = &disk_table, .name = "disk"},
		.view = memory(DISK_BYTES),
		.media = memory(DISK_BYTES),
		.marks = memory(DISK_BYTES / SECTOR_BYTES * sizeof(uint32_t)),
		.touched = memory(DISK_BYTES / BLOCK_BYTES),
		.random = 1,
	};
}

static void clear_touched(struct disk *disk)
{
	for (uint64_t block = 0; block < disk->touched_end; block++) {
		if (!disk->touched[block])
			continue;
		memset(disk->view + block * BLOCK_BYTES, 0, BLOCK_BYTES);
		memset(disk->media + block * BLOCK_BYTES, 0, BLOCK_BYTES);
		disk->touched[block] = 0;
	}
	disk->touched_end = 0;
}

void disk_empty(struct disk *disk, uint64_t file_bytes)
{
	clear_touched(disk);
	disk->version_count = 0;
	disk->view_bytes = file_bytes;
	disk->media_bytes = file_bytes;
	disk->fault = DISK_FAULT_NONE;
	disk->calls = 0;
	disk->is_read_only = false;
	disk->was_written = false;
	disk->on_point = NULL;
	disk->medium.failures = 0;
}

void disk_copy(struct disk *to, const struct disk *from)
{
	disk_empty(to, from->media_bytes);
	for (uint64_t block = 0; block < from->touched_end; block++)
		if (from->touched[block])
			disk_put(to, from->media + block * BLOCK_BYTES, BLOCK_BYTES,
				 block * BLOCK_BYTES);
}

void disk_put(struct disk *disk, const void *bytes, uint64_t len, uint64_t offset)
{
	touch(disk, offset, len);
	memcpy(disk->view + offset, bytes, len);
	memcpy(disk->media + offset, bytes, len);
}
