/*
 * The problem: an error that one caller drops is a lost epoch for another. The trick: all calls
 * to a back end pass here, and whatever failed is counted before anybody can forget it. The
 * guarantee: if `failures` has not changed since, everything written since has been accepted, and
 * everything synced since is on media.
 */
#include "medium.h"

#include <errno.h>

#include "check.h"
#include "layout.h"

static int judge(struct medium *medium, int error)
{
	if (error)
		medium->failures++;
	return error;
}

int medium_read(struct medium *medium, void *buffer, size_t len, uint64_t offset)
{
	return medium->table->read(medium, buffer, len, offset);
}

int medium_write(struct medium *medium, const void *buffer, size_t len, uint64_t offset)
{
	return judge(medium, medium->table->write(medium, buffer, len, offset));
}

static int write_zeros(struct medium *medium, uint64_t offset, uint64_t len)
{
	static const char zeros[LAYOUT_BLOCK_BYTES];
	int error = 0;

	while (!error && len) {
		size_t piece = len < sizeof(zeros) ? len : sizeof(zeros);
		error = medium->table->write(medium, zeros, piece, offset);
		offset += piece;
		len -= piece;
	}
	return error;
}

int medium_punch(struct medium *medium, uint64_t offset, uint64_t len)
{
	int error = medium->table->punch(medium, offset, len);

	if (error == -EOPNOTSUPP || error == -ENOSYS)
		error = write_zeros(medium, offset, len);
	return judge(medium, error);
}

int medium_sync(struct medium *medium)
{
	return judge(medium, medium->table->sync(medium));
}

int medium_append(struct medium *medium, const void *buffer, size_t len, uint64_t offset)
{
	CHECK(len % LAYOUT_BLOCK_BYTES == 0 && offset % LAYOUT_BLOCK_BYTES == 0);
	return judge(medium, medium->table->append(medium, buffer, len, offset));
}

int medium_extend(struct medium *medium, uint64_t file_bytes)
{
	return judge(medium, medium->table->extend(medium, file_bytes));
}

const void *medium_view(struct medium *medium, size_t len, uint64_t offset)
{
	return medium->table->view ? medium->table->view(medium, len, offset) : NULL;
}

int medium_fetch(struct medium *medium, void *buffer, size_t len, uint64_t offset)
{
	const struct medium_table *table = medium->table;

	return (table->fetch ? table->fetch : table->read)(medium, buffer, len, offset);
}

int medium_find_data(struct medium *medium, uint64_t *from, uint64_t *end)
{
	return medium->table->find_data(medium, from, end);
}

int medium_size(struct medium *medium, uint64_t *ret_bytes)
{
	return medium->table->size(medium, ret_bytes);
}
