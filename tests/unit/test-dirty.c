/* What is dirty at a cut, and more of it than there may be copies of. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>
#include <sys/mman.h>

#include "checkpoint/dirty.h"
#include "checkpoint/track.h"
#include "layout.h"

#define PAGE LAYOUT_BLOCK_BYTES
#define HEAP_PAGES 32u
#define OTHER_PAGES 4u
#define CLOSED 2u /* of the others: nobody may read it */
#define COPIES 8u

TestSuite(dirty);

static char *heap, *other;
static struct track track;

static size_t place(char *start, size_t len, uint64_t *ret_page, bool *ret_is_readable)
{
	*ret_page = (uint64_t)(start - other) / PAGE;
	*ret_is_readable = *ret_page != CLOSED;
	return PAGE;
}

static char *address(uint64_t page)
{
	return other + page * PAGE;
}

static int meet(void)
{
	return 0;
}

static void is_gone(uint64_t start, uint64_t end)
{
}

static bool is_kept(uint64_t start, uint64_t end)
{
	return true;
}

static const struct committer_memory others = {
	.place = place, .address = address, .meet = meet, .replaced = is_gone, .gone = is_gone,
	.is_kept = is_kept,
};

static char *pages_of(unsigned count)
{
	char *pages = mmap(NULL, count * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			   0);

	cr_assert(pages != MAP_FAILED);
	for (unsigned i = 0; i < count; i++)
		memset(pages + i * PAGE, (int)i + 1, PAGE);
	cr_assert(zero(int, track_add(&track, pages, count * PAGE)));
	return pages;
}

static void open_all(void)
{
	static struct region region = {.id = CHECKPOINT_REGION_HEAP, .page_count = HEAP_PAGES};

	track_open(&track, TRACK_WP);
	heap = region.address = pages_of(HEAP_PAGES);
	other = pages_of(OTHER_PAGES);
	cr_assert(zero(int, mprotect(other + CLOSED * PAGE, PAGE, PROT_NONE)));
	cr_assert(zero(int, dirty_open(&(struct dirty_plan){.track = &track,
							    .regions = &region,
							    .region_count = 1,
							    .staging_bytes = COPIES * PAGE,
							    .memory = &others})));
}

static void assert_staged(uint32_t region, uint64_t page)
{
	size_t count;
	bool is_pointed;
	const struct checkpoint_page *pages = dirty_pages(&count, &is_pointed);

	for (size_t i = 0; i < count; i++) {
		if (pages[i].region != region || pages[i].index != page)
			continue;
		const char *bytes = pages[i].bytes;
		cr_assert(bytes && bytes[0] == (char)(page + 1) && bytes[PAGE - 1] == bytes[0],
			  "region %u, page %u", region, (unsigned)page);
		return;
	}
	cr_assert(0, "region %u, page %u is not there", region, (unsigned)page);
}

/* What can be pointed at is; a page that nobody may read takes a copy, whatever room there is. */
Test(dirty, of_more_than_there_may_be_copies_of_all_is_taken_at_the_third_time)
{
	open_all();
	cr_assert(eq(int, dirty_collect(false), DIRTY_E_TOO_MUCH));
	cr_assert(eq(int, dirty_collect(false), DIRTY_E_TOO_MUCH));
	cr_assert(zero(int, dirty_collect(true)));
	for (unsigned i = 0; i < HEAP_PAGES; i++)
		assert_staged(CHECKPOINT_REGION_HEAP, i);
	for (unsigned i = 0; i < OTHER_PAGES; i++)
		assert_staged(CHECKPOINT_REGION_MEMORY, i);
}
