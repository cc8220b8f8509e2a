/*
 * The problem: /proc/self/maps costs 3 us a mapping, nearly all of it for the path, and in nearly
 * every pause it says what it said before. The trick: since Linux 6.11 the same file answers by
 * number, one mapping a call and without its path (PROCMAP_QUERY), at a tenth of that; so a list
 * of numbers is compared, and the text is read when it differs. The guarantee: what has another
 * place, length, protection, file or offset is seen.
 */
#include "mapped.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "os.h"
#include "ours.h"

#define FACTS_MAX 65536u /* vm.max_map_count is less, unless somebody has raised it */
#define QUERY UINT64_C(0xc0686611)
#define QUERY_COVERING_OR_NEXT 0x10u

/* linux/fs.h of Linux 6.11 has it; Debian 12's is older. */
struct fact {
	uint64_t start, end;
	uint64_t flags; /* protection, and shared or not */
	uint64_t page_bytes;
	uint64_t offset;
	uint64_t inode;
	uint32_t device_major, device_minor;
};
struct query {
	uint64_t size;
	uint64_t flags;
	uint64_t address;
	struct fact found;
	uint32_t name_bytes, build_id_bytes;
	uint64_t name, build_id;
};
static_assert(sizeof(struct query) == (QUERY >> 16 & 0x3fff), "as the kernel has it");

static struct {
	struct fact *facts;
	unsigned count; /* 0: nothing is noted */
} noted OURS;

static struct {
	uint64_t start, end;
} left_out OURS;

void mapped_leave_out(uint64_t start, uint64_t end)
{
	left_out.start = start;
	left_out.end = end;
}

uint64_t mapped_end_of_ours(uint64_t start)
{
	if (ours_has(start))
		return OURS_ZONE_END;
	return start >= left_out.start && start < left_out.end ? left_out.end : 0;
}

uint64_t mapped_end_of_side(uint64_t start, uint64_t end)
{
	const uint64_t walls[] = {OURS_ZONE_START, OURS_ZONE_END, left_out.start, left_out.end};

	for (unsigned i = 0; i < sizeof(walls) / sizeof(*walls); i++)
		if (start < walls[i] && walls[i] < end)
			end = walls[i];
	return end;
}

/* Goes through all mappings until hear() has enough; false: that, or the kernel does not say. */
static bool visit(bool (*hear)(unsigned i, const struct fact *fact), unsigned *ret_count)
{
	const int fd = os_open_aside("/proc/thread-self/maps", 0);
	int error = fd < 0 ? fd : 0;
	uint64_t at = 0;
	unsigned count = 0;

	for (;;) {
		struct query query = {.size = sizeof(query), .flags = QUERY_COVERING_OR_NEXT,
				      .address = at};
		if (!error)
			error = os_ioctl(fd, QUERY, &query);
		if (error)
			break;
		if (query.found.start < at)
			query.found.start = at;
		at = mapped_end_of_ours(query.found.start);
		if (at) /* they come and go with every epoch */
			continue;
		query.found.end = mapped_end_of_side(query.found.start, query.found.end);
		if (!hear(count, &query.found))
			break;
		at = query.found.end;
		count++;
	}
	if (fd >= 0)
		os_close(fd);
	*ret_count = count;
	return error == -ENOENT; /* there is none behind the last */
}

static bool keep(unsigned i, const struct fact *fact)
{
	if (i == FACTS_MAX)
		return false;
	noted.facts[i] = *fact;
	return true;
}

void mapped_note(void)
{
	unsigned count;

	noted.count = 0;
	if (!noted.facts)
		noted.facts = os_reserve(FACTS_MAX * sizeof(struct fact));
	if (os_is_error(noted.facts))
		noted.facts = NULL;
	else if (visit(keep, &count))
		noted.count = count;
}

void mapped_forget(void)
{
	noted.count = 0;
}

static bool is_as_noted(unsigned i, const struct fact *fact)
{
	return i < noted.count && memcmp(&noted.facts[i], fact, sizeof(*fact)) == 0;
}

bool mapped_is_as_noted(void)
{
	unsigned count;

	return noted.count && visit(is_as_noted, &count) && count == noted.count;
}
