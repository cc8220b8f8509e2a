/*
 * The problem: memory that a program shares with its forked children (MAP_SHARED | MAP_ANONYMOUS)
 * has what they store there, of which nothing shows in our page tables, nor does any tracker tell.
 * The trick: from the first fork on each cut asks which pages there are, be they in our page tables
 * or not (mincore), and compares the sum of each with that of the last time. The guarantee: what a
 * child had stored before the cut is in the epoch. Children do not stand still for it: what they
 * store just then is half in it, as what they send into a pipe.
 */
#include "shared.h"

#define XXH_INLINE_ALL
#define XXH_NO_STREAM
#include <errno.h>
#include <xxhash.h>

#include "checkpoint/committer.h"
#include "follow.h"
#include "os.h"
#include "ours.h"

#define LOOK_PAGES 512u

struct look {
	uint64_t address; /* 0: never */
	uint64_t sum;
};

static struct look *looks OURS; /* by the number that keeps the page */
static bool is_looking OURS;

void shared_told(uint64_t page, uint64_t count)
{
	for (uint64_t i = page; looks && !is_looking && i < page + count; i++)
		looks[i].address = 0;
}

/* A number may have been another page's: its address says so. What was forgotten, and comes again
 * at the same place, is told anew by being forgotten. */
static void look_at(char *address)
{
	static char copy[OS_PAGE_BYTES] __attribute__((aligned(64))) OURS;
	uint64_t page;
	bool is_readable;

	is_looking = true;
	follow_place(address, OS_PAGE_BYTES, &page, &is_readable);
	is_looking = false;
	if (page >= CHECKPOINT_MEMORY_PAGES || os_read_memory(copy, address, OS_PAGE_BYTES) != 0)
		return;
	struct look *look = &looks[page];
	const uint64_t sum = XXH3_64bits(copy, OS_PAGE_BYTES);
	if (look->address == (uintptr_t)address && look->sum == sum)
		return;
	*look = (struct look){(uintptr_t)address, sum};
	committer_look_again(page, 1);
}

static void look_into(const struct mapping *mapping)
{
	static unsigned char is_there[LOOK_PAGES] OURS;

	for (uint64_t at = mapping->start; at < mapping->end; at += LOOK_PAGES * OS_PAGE_BYTES) {
		const uint64_t left = (mapping->end - at) / OS_PAGE_BYTES;
		const unsigned count = left < LOOK_PAGES ? (unsigned)left : LOOK_PAGES;
		char *const start = (char *)at; /* NOLINT(performance-no-int-to-ptr) */
		if (os_mincore(start, count * OS_PAGE_BYTES, is_there) != 0)
			continue;
		for (unsigned i = 0; i < count; i++)
			if (is_there[i] & 1)
				look_at(start + (uint64_t)i * OS_PAGE_BYTES);
	}
}

int shared_look(const struct mappings *now)
{
	if (!looks)
		looks = os_reserve(CHECKPOINT_MEMORY_PAGES * sizeof(*looks));
	if (os_is_error(looks)) {
		looks = NULL;
		return -ENOMEM;
	}
	for (size_t i = 0; i < now->count; i++)
		if (now->list[i].is_kept && now->list[i].is_shared &&
		    now->list[i].kind == MAPPING_ANONYMOUS)
			look_into(&now->list[i]);
	return 0;
}
