/* Which page of the pool keeps which page of the address space; and the ledger beside it. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "process/ledger.h"
#include "process/space.h"

#define PAGE 4096ul
#define CHUNK (SPACE_CHUNK_PAGES * PAGE)
#define BASE 0x7fff00000000ul

static char directory[CHECKPOINT_DIRECTORY_PAGES * PAGE];

static void take_page(uint64_t page, const char *bytes)
{
	memcpy(directory + page * PAGE, bytes, PAGE);
}

static uint64_t forgotten;
static void count_forgotten(uint64_t page, uint64_t count)
{
	forgotten += count;
}

static void open_space(void)
{
	cr_assert_eq(space_open(), 0);
	forgotten = 0;
	memset(directory, 0, sizeof(directory));
}

Test(space, a_page_has_a_number_and_an_address, .init = open_space)
{
	const uint64_t first = space_keep(BASE + 3 * PAGE, 2 * PAGE);

	cr_assert_neq(first, SPACE_FULL);
	cr_assert_eq(space_address(first), BASE + 3 * PAGE);
	cr_assert_eq(space_address(first + 1), BASE + 4 * PAGE);
	cr_assert_eq(space_address(first + 2), 0, "nobody has kept it");
	cr_assert_eq(space_keep(BASE + 4 * PAGE, PAGE), first + 1, "the same page, the same number");
	cr_assert_neq(space_keep(BASE + CHUNK, PAGE) / SPACE_CHUNK_PAGES, first / SPACE_CHUNK_PAGES);
}

Test(space, what_is_forgotten_is_told_once, .init = open_space)
{
	const uint64_t first = space_keep(BASE, 10 * PAGE);

	space_forget(BASE + 2 * PAGE, BASE + 5 * PAGE, count_forgotten);
	cr_assert_eq(forgotten, 3);
	cr_assert_eq(space_address(first + 1), BASE + PAGE);
	cr_assert_eq(space_address(first + 2), 0);
	space_forget(BASE, BASE + 100 * CHUNK, count_forgotten);
	cr_assert_eq(forgotten, 10);
	cr_assert_eq(space_address(first), 0);
}

/* Looked for by address where the slots are more than the chunks, else slot by slot. */
Test(space, it_is_known_whether_anything_is_kept, .init = open_space)
{
	cr_assert(!space_has(BASE, BASE + CHUNK));
	for (uint64_t i = 0; i < 8; i++)
		space_keep(BASE + 2 * i * CHUNK + 70 * PAGE, PAGE);
	for (uint64_t chunks = 1; chunks <= 64; chunks *= 8) {
		const uint64_t at = BASE + 2 * CHUNK + 70 * PAGE;
		cr_assert(space_has(at, at + PAGE));
		cr_assert(space_has(at - 3 * PAGE, at + chunks * CHUNK));
		cr_assert(!space_has(at + PAGE, at + CHUNK));
		cr_assert(!space_has(BASE - chunks * CHUNK, BASE + 70 * PAGE));
	}
	space_forget(BASE + 2 * CHUNK, BASE + 3 * CHUNK, count_forgotten);
	cr_assert_eq(forgotten, 1);
	cr_assert(!space_has(BASE + CHUNK, BASE + 4 * CHUNK));
	space_forget(BASE + 71 * PAGE, BASE + 64 * CHUNK, count_forgotten);
	cr_assert_eq(forgotten, 7);
	cr_assert(space_has(BASE, BASE + 64 * CHUNK));
}

Test(space, a_slot_is_used_again, .init = open_space)
{
	for (uint64_t i = 0; i < 3 * SPACE_SLOTS; i++) {
		cr_assert_lt(space_keep(BASE + i * CHUNK, PAGE), SPACE_CHUNK_PAGES);
		space_forget(BASE + i * CHUNK, BASE + i * CHUNK + PAGE, count_forgotten);
	}
}

Test(space, there_is_an_end, .init = open_space)
{
	for (uint64_t i = 0; i < SPACE_SLOTS; i++)
		cr_assert_neq(space_keep(i * CHUNK + CHUNK, PAGE), SPACE_FULL);
	cr_assert_eq(space_keep((SPACE_SLOTS + 1) * CHUNK, PAGE), SPACE_FULL);
	space_forget(77 * CHUNK, 78 * CHUNK, count_forgotten);
	cr_assert_neq(space_keep((SPACE_SLOTS + 1) * CHUNK, PAGE), SPACE_FULL);
}

/* Against the plainest model there is: an array of chunks. */
#define MODEL_CHUNKS 300
static bool model[MODEL_CHUNKS * SPACE_CHUNK_PAGES];

static void check_slot(void *context, uint64_t slot, const struct space_slot *found)
{
	const uint64_t first = found->chunk * SPACE_CHUNK_PAGES - BASE / PAGE;

	for (unsigned i = 0; i < SPACE_CHUNK_PAGES; i++) {
		const bool is_kept = found->kept[i / 64] >> (i % 64) & 1;
		cr_assert_eq(is_kept, model[first + i]);
		*(size_t *)context += is_kept;
	}
}

static size_t check_all(void)
{
	size_t visited = 0, wanted = 0;

	space_visit(check_slot, &visited);
	for (size_t i = 0; i < sizeof(model); i++)
		wanted += model[i];
	cr_assert_eq(visited, wanted);
	return visited;
}

static void step_at_random(void)
{
	const uint64_t page = (uint64_t)rand() % sizeof(model);
	const uint64_t count = 1 + (uint64_t)rand() % (rand() % 8 ? 20 : 5000);
	const uint64_t end = page + count < sizeof(model) ? page + count : sizeof(model);

	if (rand() % 3 == 0) {
		space_forget(BASE + page * PAGE, BASE + end * PAGE, count_forgotten);
		memset(model + page, false, end - page);
		return;
	}
	for (uint64_t at = page, next; at < end; at = next) {
		next = (at / SPACE_CHUNK_PAGES + 1) * SPACE_CHUNK_PAGES;
		next = next < end ? next : end;
		cr_assert_neq(space_keep(BASE + at * PAGE, (next - at) * PAGE), SPACE_FULL);
		memset(model + at, true, next - at);
	}
}

Test(space, it_is_what_was_done_to_it, .init = open_space)
{
	srand(1);
	for (int i = 0; i < 3000; i++) {
		step_at_random();
		if (i % 100 == 0)
			check_all();
	}
	const size_t kept = check_all();
	space_changed(take_page);
	cr_assert_eq(space_open(), 0);
	cr_assert(space_load(directory), "only pages told as changed were copied");
	cr_assert_eq(check_all(), kept);
	step_at_random();
	check_all();
}

Test(space, a_directory_that_cannot_be, .init = open_space)
{
	struct space_slot *slots = (void *)directory;

	slots[0].chunk = slots[5].chunk = 1234;
	cr_assert_not(space_load(directory), "a chunk twice");
	cr_assert_eq(space_open(), 0);
	slots[5].chunk = UINT64_C(1) << 40;
	cr_assert_not(space_load(directory), "no address");
}

/* ---- The ledger ---- */

static char bytes[4096] __attribute__((aligned(8)));

Test(ledger, records_come_back)
{
	struct ledger_writer writer = {.bytes = bytes, .capacity = sizeof(bytes)};
	size_t len;

	memset(bytes, 0xff, sizeof(bytes));
	memcpy(ledger_put(&writer, LEDGER_THREAD, 5), "four", 5);
	*(char *)ledger_put(&writer, LEDGER_FILE, 1) = 7;
	ledger_put(&writer, LEDGER_THREAD, 0);
	struct ledger_reader reader = {bytes, sizeof(bytes), 0};
	cr_assert_str_eq(ledger_next(&reader, LEDGER_THREAD, &len), "four");
	cr_assert_eq(len, 5);
	cr_assert_not_null(ledger_next(&reader, LEDGER_THREAD, &len));
	cr_assert_eq(len, 0);
	cr_assert_null(ledger_next(&reader, LEDGER_THREAD, &len), "old bytes are no records");
	reader.at = 0;
	cr_assert_eq(*(const char *)ledger_next(&reader, LEDGER_FILE, &len), 7);
}

Test(ledger, too_much_is_a_veto)
{
	struct ledger_writer writer = {.bytes = bytes, .capacity = 256};

	memset(bytes + 256, 'x', 8);
	for (int i = 0; i < 10; i++)
		memset(ledger_put(&writer, LEDGER_FILE, 40), 'y', 40);
	cr_assert(writer.veto[0]);
	cr_assert_eq(bytes[256], 'x', "nothing was written behind the end");
}

/* Whatever the bytes are: no record leads out of them. */
Test(ledger, garbage_is_no_ledger)
{
	for (unsigned seed = 0; seed < 20000; seed++) {
		struct ledger_reader reader = {bytes, 1 + seed % 200, 0};
		size_t len;
		const char *found;
		srand(seed);
		for (size_t i = 0; i < 200; i++)
			bytes[i] = (char)(rand() % (seed % 2 ? 4 : 256));
		while ((found = ledger_next(&reader, LEDGER_THREAD, &len)))
			cr_assert(found >= bytes && found + len <= bytes + reader.len);
	}
}
