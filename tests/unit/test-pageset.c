/* Sets of pages: that what is added is visited once, ascending, however far apart. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <pthread.h>

#include "checkpoint/pageset.h"

#define PAGES (UINT64_C(1) << 28) /* of a terabyte */
#define VISITS 20000

TestSuite(pageset);

static struct pageset set;
static uint64_t visits[VISITS];
static unsigned visit_count;

static void visit(void *context, uint64_t page)
{
	cr_assert(visit_count < VISITS);
	visits[visit_count++] = page;
}

static void take(void)
{
	visit_count = 0;
	pageset_take(&set, visit, NULL);
}

static void expect(const uint64_t *pages, unsigned count)
{
	cr_assert(eq(uint, visit_count, count));
	for (unsigned i = 0; i < count; i++)
		cr_expect(eq(u64, visits[i], pages[i]), "at %u", i);
}

Test(pageset, the_first_and_the_last_of_a_terabyte_are_visited_once)
{
	static const uint64_t pages[] = {0, 63, 64, 4095, 4096, PAGES - 1};

	cr_assert(zero(int, pageset_open(&set, PAGES)));
	for (unsigned i = 6; i-- > 0;)
		pageset_add(&set, pages[i], 1);
	cr_expect(pageset_has(&set, PAGES - 1));
	cr_expect(not(pageset_has(&set, PAGES - 2)));
	take();
	expect(pages, 6);
	cr_expect(pageset_is_empty(&set));
	take();
	expect(NULL, 0);
	pageset_close(&set);
}

Test(pageset, a_run_over_the_bounds_of_words_and_groups_is_whole)
{
	cr_assert(zero(int, pageset_open(&set, 3 * 4096 + 100)));
	pageset_add(&set, 4000, 2 * 4096 + 100);
	pageset_add(&set, 3 * 4096 + 99, 1);
	pageset_add(&set, 5, 0);
	take();
	cr_assert(eq(uint, visit_count, 2 * 4096 + 101));
	for (unsigned i = 0; i < 2 * 4096 + 100; i++)
		cr_assert(eq(u64, visits[i], 4000 + i));
	cr_expect(eq(u64, visits[visit_count - 1], 3 * 4096 + 99));
	pageset_close(&set);
}

Test(pageset, taken_without_a_visitor_it_is_empty)
{
	cr_assert(zero(int, pageset_open(&set, PAGES)));
	pageset_add(&set, 77777, 3);
	pageset_take(&set, NULL, NULL);
	cr_expect(pageset_is_empty(&set));
	cr_expect(not(pageset_has(&set, 77778)));
	pageset_close(&set);
}

/* Each page is added once by one thread and taken by another: none may be lost, none come twice. */
#define RACED UINT64_C(200000)
static unsigned char seen[RACED];

static void *add_all(void *unused)
{
	for (uint64_t page = 0; page < RACED; page++)
		pageset_add(&set, page * 7919 % RACED, 1);
	return NULL;
}

static void count(void *context, uint64_t page)
{
	seen[page]++;
}

Test(pageset, what_is_added_while_it_is_taken_is_not_lost)
{
	pthread_t adder;

	cr_assert(zero(int, pageset_open(&set, RACED)));
	cr_assert(zero(int, pthread_create(&adder, NULL, add_all, NULL)));
	for (int i = 0; i < 200; i++)
		pageset_take(&set, count, NULL);
	pthread_join(adder, NULL);
	pageset_take(&set, count, NULL);
	for (uint64_t page = 0; page < RACED; page++)
		cr_assert(eq(u8, seen[page], 1), "page %llu", (unsigned long long)page);
	pageset_close(&set);
}
