/* What is noted of ranges of memory, against a table with an entry a page. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "process/advice.h"
#include "process/process.h"
#include "window.h"

#define PAGES 64
#define PAGE 4096ul
#define BASE (UINT64_C(1) << 30)
#define DONTFORK 1u
#define DONTDUMP 4u
#define LOCKED 512u

struct range {
	uint64_t start, end, bits;
};

static char bytes[1 << 18];
static const struct window no_heap = {.base = NULL};

static char *at(unsigned page)
{
	return (char *)(BASE + page * PAGE); /* NOLINT(performance-no-int-to-ptr) */
}

static struct ledger_writer save(void)
{
	memset(bytes, 0, sizeof(bytes));
	struct ledger_writer writer = {.bytes = bytes, .capacity = sizeof(bytes)};
	advice_save(&writer, &no_heap);
	return writer;
}

/* The saved ranges as a table; they ascend, and no two of them could be one. */
static void read_saved(uint64_t ret_table[PAGES])
{
	const struct ledger_writer writer = save();
	struct ledger_reader reader = {.bytes = bytes, .len = writer.len};
	const struct range *range, *before = NULL;
	size_t len;

	memset(ret_table, 0, PAGES * sizeof(*ret_table));
	while ((range = ledger_next(&reader, LEDGER_ADVICE, &len))) {
		cr_assert(len == sizeof(*range) && range->bits && range->start < range->end);
		cr_assert(!before || before->end < range->start ||
			  (before->end == range->start && before->bits != range->bits));
		for (uint64_t page = range->start; page < range->end; page += PAGE)
			ret_table[(page - BASE) / PAGE] = range->bits;
		before = range;
	}
}

Test(advice, is_what_was_said_last_of_each_page)
{
	uint64_t table[PAGES] = {0}, saved[PAGES];

	cr_assert_eq(advice_open(), 0);
	srand(4711);
	for (int step = 0; step < 2000; step++) {
		const unsigned from = (unsigned)rand() % PAGES, count = (unsigned)rand() % (PAGES - from);
		const int what = rand() % 7;
		for (unsigned i = from; i < from + count; i++)
			table[i] = what == 0 ? table[i] | DONTFORK : what == 1 ? table[i] & ~DONTFORK :
				   what == 2 ? table[i] | DONTDUMP : what == 3 ? table[i] & ~DONTDUMP :
				   what == 4 ? table[i] | LOCKED : what == 5 ? 0 : LOCKED;
		if (what < 4)
			process_note_advice(at(from), count * PAGE, (const int[]){MADV_DONTFORK, MADV_DOFORK,
					    MADV_DONTDUMP, MADV_DODUMP}[what]);
		else if (what == 4)
			process_note_locked(at(from), count * PAGE, PROCESS_LOCKED);
		else if (what == 5)
			process_note_unmapped(at(from), count * PAGE);
		else
			process_note_mapped(at(from), count * PAGE, MAP_LOCKED);
		read_saved(saved);
		cr_assert_eq(memcmp(saved, table, sizeof(table)), 0, "step %d, call %d", step, what);
	}
}

Test(advice, moves_along_and_grows_with_its_end)
{
	uint64_t saved[PAGES];

	cr_assert_eq(advice_open(), 0);
	process_note_advice(at(2), 2 * PAGE, MADV_DONTFORK);
	process_note_advice(at(3), 2 * PAGE, MADV_DONTDUMP);
	process_note_locked(at(20), 9 * PAGE, PROCESS_LOCKED);
	process_note_moved(at(1), 4 * PAGE, at(20), 6 * PAGE, false);
	read_saved(saved);
	const uint64_t expected[] = {0, DONTFORK, DONTFORK | DONTDUMP, DONTDUMP, DONTDUMP, DONTDUMP, LOCKED};
	cr_assert_eq(memcmp(saved + 20, expected, sizeof(expected)), 0);
	for (unsigned i = 0; i < 20; i++)
		cr_assert_eq(saved[i], 0);
	process_note_moved(at(20), 6 * PAGE, at(20), 2 * PAGE, false);
	read_saved(saved);
	cr_assert(saved[21] == DONTFORK && saved[22] == 0 && saved[26] == LOCKED);
}

Test(advice, for_too_many_ranges_is_a_veto_but_if_it_is_for_speed)
{
	cr_assert_eq(advice_open(), 0);
	for (unsigned i = 0; i < 5000; i++)
		process_note_advice(at(2 * i), PAGE, MADV_HUGEPAGE);
	cr_assert_eq(save().veto[0], 0);
	cr_assert_eq(advice_open(), 0);
	for (unsigned i = 0; i < 5000; i++)
		process_note_advice(at(2 * i), PAGE, MADV_DONTFORK);
	cr_assert(save().veto[0]);
	process_note_unmapped(at(100), 9900 * PAGE); /* what was lost stays lost */
	cr_assert(save().veto[0]);
}
