/* Slabs: runs of the lowest free slots, and states that are the whole truth. */
#include "arena.h"

#include "heap/slab.h"
#include "heap/sizeclass.h"

TestSuite(slab, .init = arena_open, .timeout = 100);

#define CLASS 20
#define SLOTS(class) (state.header->classes[class].slot_count)

static struct slab_run take(uint32_t want)
{
	struct slab_run run;
	cr_assert(slab_take(0, CLASS, want, true, &run));
	cr_assert(run.first < run.end && run.end - run.first <= want);
	for (uint32_t i = run.first; i < run.end; i++)
		cr_assert_eq(run.span->states[i], SLOT_CACHED);
	return run;
}

static void give(struct layout_span *span, uint32_t first, uint32_t end)
{
	for (uint32_t i = first; i < end; i++) {
		const struct layout_entry entry = {span->start + i * span->slot_bytes, span->states + i};
		slab_give(span, &entry, 1);
	}
}

Test(slab, slots_come_in_runs_from_the_lowest)
{
	const struct slab_run a = take(10), b = take(10);
	cr_assert(a.first == 0 && a.end == 10 && b.first == 10 && b.end == 20);
	cr_assert_eq(b.span, a.span);
	const struct slab_run rest = take(100000);
	cr_assert_eq(rest.end, SLOTS(CLASS));
	struct slab_run none;
	cr_assert_not(slab_take(0, CLASS, 1, false, &none), "no new slab unless it may");
	cr_assert_neq(take(1).span, a.span);
}

Test(slab, slots_given_back_are_taken_again_lowest_first)
{
	struct layout_span *span = take(100000).span;
	give(span, 30, 33);
	give(span, 7, 8);
	give(span, 20, 22);
	struct slab_run run = take(5);
	cr_assert(run.first == 7 && run.end == 8);
	run = take(5);
	cr_assert(run.first == 20 && run.end == 22);
	run = take(2);
	cr_assert(run.first == 30 && run.end == 32);
	run = take(9);
	cr_assert(run.first == 32 && run.end == 33);
}

Test(slab, random_takes_and_gives_agree_with_a_model)
{
	arena_seed();
	struct layout_span *span = take(1).span;
	const uint32_t slots = span->slot_count;
	bool is_taken[4096] = {true};
	for (int i = 0; i < 20000; i++) {
		uint32_t lowest = 0, longest = 0;
		while (lowest < slots && is_taken[lowest])
			lowest++;
		if (lowest < slots && arena_random(2)) {
			const uint32_t want = 1 + (uint32_t)arena_random(20);
			while (longest < want && lowest + longest < slots && !is_taken[lowest + longest])
				longest++;
			const struct slab_run run = take(want);
			cr_assert_eq(run.span, span);
			cr_assert_eq(run.first, lowest);
			cr_assert_eq(run.end, lowest + longest);
			memset(is_taken + run.first, true, run.end - run.first);
		} else {
			const uint32_t slot = (uint32_t)arena_random(slots);
			if (is_taken[slot])
				give(span, slot, slot + 1);
			is_taken[slot] = false;
		}
	}
}

Test(slab, a_wholly_free_slab_goes_unless_it_is_the_last)
{
	struct layout_span *slabs[3];
	for (int i = 0; i < 3; i++)
		slabs[i] = take(100000).span;
	const uint64_t used = state.header->used_pages;
	const uint32_t pages = slabs[0]->page_count;
	give(slabs[0], 0, SLOTS(CLASS));
	cr_assert_eq(state.header->used_pages, used, "the only one with free slots stays");
	give(slabs[1], 0, SLOTS(CLASS));
	cr_assert_eq(state.header->used_pages, used - pages);
	give(slabs[2], 0, 1);
	cr_assert_eq(state.header->used_pages, used - pages);
	slab_trim();
	cr_assert_eq(state.header->used_pages, used - 2 * pages, "a trim takes the last as well");
	cr_assert_eq(slabs[2]->kind, SPAN_SLAB);
}

Test(slab, shards_have_slabs_of_their_own)
{
	struct slab_run run;
	struct layout_span *span = take(1).span;
	cr_assert(slab_take(1, CLASS, 1, true, &run));
	cr_assert_neq(run.span, span);
	cr_assert_eq(run.span->shard, 1);
}

Test(slab, every_class_fills_its_slabs)
{
	for (unsigned class = 1; class < HEAP_CLASSES; class++) {
		struct slab_run run;
		cr_assert(slab_take(0, class, UINT32_MAX, true, &run));
		cr_assert_eq(run.end, SLOTS(class));
		memset(run.span->start, 0xff, (size_t)run.end * run.span->slot_bytes);
		for (uint32_t i = 0; i < run.end; i++)
			cr_assert_eq(heap_span_of(run.span->start + (size_t)i * run.span->slot_bytes),
				     run.span);
	}
}

Test(slab, without_memory_there_is_no_slab)
{
	struct slab_run run;
	for (size_t pages = 0; pages < 64 + SLOTS(CLASS); pages += 8) {
		arena.open_bytes_max = arena.open_bytes + pages * HEAP_PAGE_BYTES;
		if (slab_take(0, CLASS, 1, true, &run))
			return;
		cr_assert_eq(arena_check(), 0);
	}
	cr_assert_fail("never enough memory");
}
