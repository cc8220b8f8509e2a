/*
 * The problem: the committer reads the list while it holds threads still, and one of them may have
 * been stopped in the middle of changing it, so neither side may wait for the other with a lock.
 * The trick: two lists. Changes are made in the one nobody reads, which then becomes the one that
 * is read; the committer says which it reads, and looks again whether that still is the right one.
 * The guarantee: what exclude_apply() sees is one whole list, and it never waits.
 *
 * That a page is affected by a new exclusion must be noticed although nobody stored to it: one of
 * its bytes is exchanged for itself. Pages that hold zeros there need none: they are stored as
 * zeros in any case.
 */
#include "exclude.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "layout.h"
#include "lock.h"

struct exclude_range {
	uintptr_t start;
	uintptr_t end;
};

struct exclude_list {
	unsigned count;
	struct exclude_range ranges[EXCLUDE_MAX]; /* ascending, disjoint */
};

/*
 * Whoever changes holds `lock` and writes lists[1 - current] only, after the reader has left it:
 * reading is 0 while nothing is read, else 1 + the index of the list.
 */
static struct {
	struct lock lock;
	_Atomic unsigned current;
	_Atomic unsigned reading;
	struct exclude_list lists[2];
} exclude;

/* The first range that ends behind address; count: there is none. */
static unsigned range_at(const struct exclude_list *list, uintptr_t address)
{
	unsigned low = 0, high = list->count;

	while (low < high) {
		const unsigned middle = (low + high) / 2;
		if (list->ranges[middle].end > address)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

static void range_remove(struct exclude_list *list, unsigned index)
{
	list->count--;
	memmove(&list->ranges[index], &list->ranges[index + 1],
		(list->count - index) * sizeof(list->ranges[0]));
}

static int range_insert(struct exclude_list *list, struct exclude_range range)
{
	const unsigned index = range_at(list, range.start);

	if (index < list->count && list->ranges[index].start < range.end)
		return -EEXIST;
	if (list->count == EXCLUDE_MAX)
		return -ENOSPC;
	memmove(&list->ranges[index + 1], &list->ranges[index],
		(list->count - index) * sizeof(list->ranges[0]));
	list->ranges[index] = range;
	list->count++;
	return 0;
}

/* ret_old: what the start had before, empty if nothing */
static int list_set(struct exclude_list *list, struct exclude_range range,
		    struct exclude_range *ret_old)
{
	const unsigned index = range_at(list, range.start);
	const bool is_there = index < list->count && list->ranges[index].start == range.start;

	*ret_old = is_there ? list->ranges[index] : (struct exclude_range){range.start, range.start};
	if (is_there)
		range_remove(list, index);
	if (range.end == range.start)
		return is_there ? 0 : -ENOENT;
	return range_insert(list, range);
}

/* The list nobody reads, equal to the current one. */
static struct exclude_list *list_copy(void)
{
	const unsigned current = atomic_load(&exclude.current);
	const struct exclude_list *from = &exclude.lists[current];
	struct exclude_list *to = &exclude.lists[1 - current];

	while (atomic_load(&exclude.reading) == 1 + (1 - current))
		os_sleep_ns(1000);
	to->count = from->count;
	memcpy(to->ranges, from->ranges, from->count * sizeof(from->ranges[0]));
	return to;
}

/* Other threads may store to it at the same time: a plain store of what was there could undo
 * theirs, and compilers turn an "or" with 0 into a load. */
static void byte_touch(char *p)
{
	char value = __atomic_load_n(p, __ATOMIC_RELAXED);

	while (!__atomic_compare_exchange_n(p, &value, value, false, __ATOMIC_RELAXED,
					    __ATOMIC_RELAXED))
		;
}

static void range_touch(uintptr_t start, uintptr_t end)
{
	while (start < end) {
		const uintptr_t page_end = (start | (LAYOUT_BLOCK_BYTES - 1)) + 1;
		const size_t len = (page_end < end ? page_end : end) - start;
		char *p = (char *)start;

		if (p[0] || memcmp(p, p + 1, len - 1) != 0)
			byte_touch(p);
		start += len;
	}
}

int exclude_set(void *start, size_t len)
{
	const struct exclude_range range = {(uintptr_t)start, (uintptr_t)start + len};
	struct exclude_range old;

	lock_acquire(&exclude.lock);
	const int error = list_set(list_copy(), range, &old);
	if (!error)
		atomic_store(&exclude.current, 1 - atomic_load(&exclude.current));
	lock_release(&exclude.lock);
	if (!error)
		range_touch(range.start, range.end > old.end ? range.end : old.end);
	return error;
}

static const struct exclude_list *list_begin(void)
{
	unsigned index;

	do {
		index = atomic_load(&exclude.current);
		atomic_store(&exclude.reading, 1 + index);
	} while (atomic_load(&exclude.current) != index);
	return &exclude.lists[index];
}

bool exclude_is_empty(void)
{
	/* A count that is changing belongs to a call that has not returned yet. */
	return exclude.lists[atomic_load_explicit(&exclude.current, memory_order_acquire)].count == 0;
}

void exclude_apply(const char *start, char *copy, size_t len)
{
	const uintptr_t from = (uintptr_t)start, to = from + len;
	const struct exclude_list *list = list_begin();

	for (unsigned i = range_at(list, from); i < list->count && list->ranges[i].start < to; i++) {
		const struct exclude_range range = list->ranges[i];
		const uintptr_t first = range.start > from ? range.start : from;
		const uintptr_t end = range.end < to ? range.end : to;
		memset(copy + (first - from), 0, end - first);
	}
	atomic_store(&exclude.reading, 0);
}
