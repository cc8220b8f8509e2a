/*
 * Advice in the next life: said again of memory that is there and empty (where pages are to lie,
 * how large they are to be), of what is in it (locks), and at last of what nobody is to change.
 */
#include "advice-parts.h"

#include <errno.h>
#include <sys/mman.h>

#include "os.h"
#include "task.h"
#include "window.h"

#define self advice_self

static uint64_t bits_at(uint64_t address)
{
	for (uint32_t i = 0; i < self.now->count; i++)
		if (self.now->ranges[i].start <= address && address < self.now->ranges[i].end)
			return self.now->ranges[i].bits;
	return 0;
}

bool advice_is_undumped(const struct mapping *mapping)
{
	if (!self.now)
		return false;
	lock_acquire(&self.lock);
	const uint64_t bits = bits_at(mapping->start);
	lock_release(&self.lock);
	return bits & ADVICE_DONTDUMP;
}

bool advice_grows_down(const struct mapping *mapping)
{
	return bits_at(mapping->end - 1) & ADVICE_GROWS_DOWN;
}

bool advice_is_synced(const struct mapping *mapping)
{
	return bits_at(mapping->start) & ADVICE_SYNC;
}

bool advice_is_read_only(const struct mapping *mapping)
{
	return bits_at(mapping->start) & ADVICE_READ_ONLY;
}

/* Holes in the range are no error of ours, and what is only good for speed need not be had. */
static int advise(const struct advice_range *range, int advice, uint64_t bit)
{
	const int error = os_madvise((void *)(uintptr_t)range->start, range->end - range->start, advice);

	return error != -ENOMEM && bit & ADVICE_MATTERS ? error : 0;
}

static int advise_all(uint64_t wanted)
{
	int error = 0;

	for (uint32_t i = 0; i < self.now->count && !error; i++)
		for (unsigned j = 0; j < ADVICE_MEANINGS && !error; j++)
			if (advice_meanings[j].sets & self.now->ranges[i].bits & wanted)
				error = advise(&self.now->ranges[i], advice_meanings[j].advice, advice_meanings[j].sets);
	return error;
}

/* What was said of each part that is there: of the program's mappings, and of its heap. */
static void visit(const struct mappings *image, const struct window *heap, uint64_t wanted,
		  void (*act)(const struct advice_range *range, void *start, size_t len))
{
	const uint64_t base = (uintptr_t)heap->base;

	for (uint32_t i = 0; i < self.now->count; i++) {
		const struct advice_range *range = &self.now->ranges[i];
		for (size_t j = 0; range->bits & wanted && j < image->count + heap->range_count; j++) {
			const struct window_range *of_heap = &heap->ranges[j - image->count];
			const bool is_heaps = j >= image->count;
			const uint64_t from = advice_higher(range->start, is_heaps ?
				base + of_heap->start : image->list[j].start);
			const uint64_t to = advice_lower(range->end, is_heaps ?
				base + of_heap->end : image->list[j].end);
			if (from < to)
				act(range, (void *)(uintptr_t)from, to - from);
		}
	}
}

static void bind(const struct advice_range *range, void *start, size_t len)
{
	policy_bind((range->bits & ADVICE_POLICY) >> ADVICE_POLICY_SHIFT, start, len);
}

int advice_make(const struct mappings *image, const struct window *heap)
{
	visit(image, heap, ADVICE_POLICY, bind);
	return advise_all(ADVICE_ALL & ~ADVICE_GUARD);
}

static void lock(const struct advice_range *range, void *start, size_t len)
{
	os_mlock(start, len, range->bits & ADVICE_LOCKED_ON_FAULT ? MLOCK_ONFAULT : 0);
}

void advice_lock(const struct mappings *image, const struct window *heap)
{
	advise_all(ADVICE_GUARD);
	visit(image, heap, ADVICE_LOCKS, lock);
}

static void seal(const struct advice_range *range, void *start, size_t len)
{
	(void)range;
	os_mseal(start, len);
}

void advice_close(const struct mappings *image, const struct window *heap)
{
	if (self.future)
		os_mlockall(self.future);
	visit(image, heap, ADVICE_SEALED, seal);
}
