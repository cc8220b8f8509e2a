/*
 * The problem: that memory is not to be inherited by a child, is to be zeros there, not to be
 * dumped, locked, made of huge pages: the kernel keeps it with a mapping, but tells it only in
 * smaps, which walks all pages to do so. The trick: the calls that say it say it here, too, in a
 * list of ranges, and an epoch has a copy of that. The guarantee: call and note are one section of
 * ours, so an image has both or neither.
 *
 * What goes by no call of the program's (libc unmaps the stack of a thread) may leave a range
 * behind: what is mapped there by a call is new, so that only libc's own can be mistaken for it.
 */
#include "advice-parts.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "lock.h"
#include "os.h"
#include "ours.h"
#include "process.h"
#include "window.h"

#ifndef MADV_GUARD_INSTALL /* Linux 6.13 */
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE 103
#endif

#define EVERYWHERE (UINT64_C(1) << 47)

const struct advice_meaning advice_meanings[ADVICE_MEANINGS] = {
	{MADV_DONTFORK, 0, ADVICE_DONTFORK},
	{MADV_DOFORK, ADVICE_DONTFORK, 0},
	{MADV_WIPEONFORK, 0, ADVICE_WIPEONFORK},
	{MADV_KEEPONFORK, ADVICE_WIPEONFORK, 0},
	{MADV_DONTDUMP, 0, ADVICE_DONTDUMP},
	{MADV_DODUMP, ADVICE_DONTDUMP, 0},
	{MADV_HUGEPAGE, ADVICE_NO_HUGE, ADVICE_HUGE},
	{MADV_NOHUGEPAGE, ADVICE_HUGE, ADVICE_NO_HUGE},
	{MADV_MERGEABLE, 0, ADVICE_MERGEABLE},
	{MADV_UNMERGEABLE, ADVICE_MERGEABLE, 0},
	{MADV_NORMAL, ADVICE_RANDOM | ADVICE_SEQUENTIAL, 0},
	{MADV_RANDOM, ADVICE_SEQUENTIAL, ADVICE_RANDOM},
	{MADV_SEQUENTIAL, ADVICE_RANDOM, ADVICE_SEQUENTIAL},
	{MADV_GUARD_INSTALL, 0, ADVICE_GUARD},
	{MADV_GUARD_REMOVE, ADVICE_GUARD, 0},
};

struct advice_self advice_self OURS;
#define self advice_self

static struct advice_list *new_list(void)
{
	return os_mmap(NULL, sizeof(struct advice_list), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

int advice_open(void)
{
	self.now = new_list();
	self.next = new_list();
	self.moved = new_list();
	return os_is_error(self.now) || os_is_error(self.next) || os_is_error(self.moved) ? -ENOMEM : 0;
}

/* ---- The list ---- */

static void append(struct advice_list *list, uint64_t start, uint64_t end, uint64_t bits)
{
	struct advice_range *last = list->count ? &list->ranges[list->count - 1] : NULL;

	if (start >= end || bits == 0)
		return;
	if (last && last->end == start && last->bits == bits)
		last->end = end;
	else if (list->count == ADVICE_RANGES_MAX)
		self.is_lost |= bits & ADVICE_MATTERS;
	else
		list->ranges[list->count++] = (struct advice_range){start, end, bits};
}

static bool touches_any(uint64_t start, uint64_t end)
{
	uint32_t low = 0, high = self.now->count;

	while (low < high) {
		const uint32_t middle = (low + high) / 2;
		if (self.now->ranges[middle].end <= start)
			low = middle + 1;
		else
			high = middle;
	}
	return low < self.now->count && self.now->ranges[low].start < end;
}

/* All of [start, end) loses `clears` and gets `sets`. */
static void change(uint64_t start, uint64_t end, uint64_t clears, uint64_t sets)
{
	struct advice_list *const next = self.next;
	uint64_t at = start; /* up to here it is in the new list */

	if (start >= end || (!sets && !touches_any(start, end)))
		return;
	next->count = 0;
	for (uint32_t i = 0; i < self.now->count; i++) {
		const struct advice_range *range = &self.now->ranges[i];
		const uint64_t from = advice_higher(range->start, start), to = advice_lower(range->end, end);
		append(next, range->start, advice_lower(range->end, start), range->bits);
		if (range->end > start) {
			append(next, at, advice_lower(from, end), sets);
			at = advice_higher(at, advice_lower(from, end));
		}
		if (from < to) {
			append(next, from, to, (range->bits & ~clears) | sets);
			at = to;
		}
		append(next, advice_higher(range->start, end), range->end, range->bits);
	}
	append(next, at, end, sets);
	self.next = self.now;
	self.now = next;
}

/* ---- Notes: on the program's threads, in a section of ours ---- */

static uint64_t page_below(const void *at)
{
	return (uintptr_t)at & ~(uint64_t)(OS_PAGE_BYTES - 1);
}

static uint64_t page_above(const void *at, size_t len)
{
	return ((uintptr_t)at + len + OS_PAGE_BYTES - 1) & ~(uint64_t)(OS_PAGE_BYTES - 1);
}

static void change_locked(const void *start, size_t len, uint64_t clears, uint64_t sets)
{
	lock_acquire(&self.lock);
	change(page_below(start), page_above(start, len), clears, sets);
	lock_release(&self.lock);
}

static uint64_t lock_bits(int flags)
{
	return flags & MCL_ONFAULT ? ADVICE_LOCKED_ON_FAULT : flags ? ADVICE_LOCKED : 0;
}

void process_note_advice(const void *start, size_t len, int advice)
{
	for (unsigned i = 0; i < ADVICE_MEANINGS; i++)
		if (advice_meanings[i].advice == advice)
			change_locked(start, len, advice_meanings[i].clears, advice_meanings[i].sets);
}

void process_note_locked(const void *start, size_t len, enum process_lock lock)
{
	change_locked(start, len, ADVICE_LOCKS, lock == PROCESS_LOCKED ? ADVICE_LOCKED :
					 lock == PROCESS_LOCKED_ON_FAULT ? ADVICE_LOCKED_ON_FAULT : 0);
}

void process_note_locked_all(int flags)
{
	const int how = flags & MCL_ONFAULT;

	lock_acquire(&self.lock);
	self.future = flags & MCL_FUTURE ? flags & ~MCL_CURRENT : 0;
	if (flags == 0 || flags & MCL_CURRENT)
		change(0, EVERYWHERE, ADVICE_LOCKS, lock_bits(flags ? MCL_CURRENT | how : 0));
	lock_release(&self.lock);
}

static bool is_synced(int flags)
{
	return (flags & MAP_TYPE) == MAP_SHARED_VALIDATE && flags & MAP_SYNC;
}

void process_note_mapped(const void *start, size_t len, int flags)
{
	const uint64_t locked = flags & MAP_LOCKED ? ADVICE_LOCKED : lock_bits(self.future);

	change_locked(start, len, ADVICE_ALL, locked | (flags & MAP_GROWSDOWN ? ADVICE_GROWS_DOWN : 0) |
						      (flags & MAP_STACK ? ADVICE_NO_HUGE : 0) |
						      (is_synced(flags) ? ADVICE_SYNC : 0));
}

void process_note_unmapped(const void *start, size_t len)
{
	change_locked(start, len, ADVICE_ALL, 0);
}

void process_note_sealed(const void *start, size_t len)
{
	change_locked(start, len, 0, ADVICE_SEALED);
}

/* Left out where there are very many of them, whose room others need more. */
void process_note_read_only(const void *start, size_t len)
{
	if (self.now->count < ADVICE_RANGES_MAX / 2)
		change_locked(start, len, 0, ADVICE_READ_ONLY);
}

void process_note_policy(const void *start, size_t len, int mode, const void *nodes, uint64_t count)
{
	const struct policy policy = policy_of(mode, nodes, count);

	lock_acquire(&self.lock);
	const uint64_t number = policy_number(&policy);
	change(page_below(start), page_above(start, len), ADVICE_POLICY, number << ADVICE_POLICY_SHIFT);
	lock_release(&self.lock);
}

/* What it has grown by is as its end was. */
void process_note_moved(const void *from, size_t from_len, const void *to, size_t len, bool is_left)
{
	const uint64_t start = page_below(from), end = page_above(from, from_len);
	const uint64_t moved = page_below(to), moved_end = page_above(to, len);

	lock_acquire(&self.lock);
	self.moved->count = 0;
	for (uint32_t i = 0; i < self.now->count; i++) {
		const struct advice_range *range = &self.now->ranges[i];
		append(self.moved, advice_higher(range->start, start),
		       advice_lower(range->end, end), range->bits);
	}
	change(start, end, is_left ? ADVICE_LOCKS : ADVICE_ALL, 0);
	change(moved, moved_end, ADVICE_ALL, 0);
	for (uint32_t i = 0; i < self.moved->count; i++) {
		const struct advice_range *range = &self.moved->ranges[i];
		const uint64_t to_end = range->end == end ? moved_end : moved + (range->end - start);
		change(moved + (range->start - start), advice_lower(to_end, moved_end), 0, range->bits);
	}
	lock_release(&self.lock);
}

/* ---- The ledger ---- */

static bool is_wiped_in(const struct window *heap)
{
	const uint64_t start = (uintptr_t)heap->base, end = start + heap->size_bytes;

	for (uint32_t i = 0; i < self.now->count; i++) {
		const struct advice_range *range = &self.now->ranges[i];
		if (range->bits & ADVICE_WIPEONFORK && range->start < end && start < range->end)
			return true;
	}
	return false;
}

static void save_range(struct ledger_writer *writer, const struct advice_range *range)
{
	*(struct advice_range *)ledger_put(writer, LEDGER_ADVICE, sizeof(*range)) = *range;
}

void advice_save(struct ledger_writer *writer, const struct window *heap)
{
	if (self.is_lost)
		ledger_veto(writer, "madvise() or mlock() for too many ranges of memory", NULL);
	/* What comes back shows the pool's file, and the kernel wipes no file. */
	if (is_wiped_in(heap))
		ledger_veto(writer, "MADV_WIPEONFORK for memory of malloc()", NULL);
	policies_save(writer);
	if (self.future)
		save_range(writer, &(struct advice_range){.bits = (uint64_t)self.future});
	for (uint32_t i = 0; i < self.now->count; i++)
		save_range(writer, &self.now->ranges[i]);
}

bool advice_load(const struct ledger_reader *state)
{
	struct ledger_reader reader = *state;
	const struct advice_range *range;
	size_t len;

	while ((range = ledger_next(&reader, LEDGER_ADVICE, &len))) {
		if (len != sizeof(*range) || range->start > range->end)
			return false;
		if (range->start == range->end)
			self.future = (int)range->bits;
		append(self.now, range->start, range->end, range->bits);
	}
	return policies_load(state);
}
