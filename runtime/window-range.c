/*
 * Which parts of a window are open: what window_freeze() must carry over. The heap grows in a few
 * places only, each upwards, so a short sorted array that merges neighbours is all it takes, and
 * no system call has to be asked what the process looks like.
 */
#include "window-range.h"

#include <errno.h>
#include <string.h>

int window_range_add(struct window *window, size_t start, size_t end)
{
	struct window_range *ranges = window->ranges;
	unsigned count = window->range_count;
	unsigned first = 0;

	/* [first, after) are the ranges that touch the new one. */
	while (first < count && ranges[first].end < start)
		first++;
	unsigned after = first;
	while (after < count && ranges[after].start <= end)
		after++;
	if (after == first && count == WINDOW_RANGE_MAX)
		return -ENOMEM;
	size_t old_bytes = 0;
	struct window_range merged = {start, end};
	for (unsigned i = first; i < after; i++) {
		old_bytes += ranges[i].end - ranges[i].start;
		merged.start = ranges[i].start < merged.start ? ranges[i].start : merged.start;
		merged.end = ranges[i].end > merged.end ? ranges[i].end : merged.end;
	}
	memmove(&ranges[first + 1], &ranges[after], (count - after) * sizeof(*ranges));
	ranges[first] = merged;
	window->range_count = count - (after - first) + 1;
	window->open_bytes += merged.end - merged.start - old_bytes;
	return 0;
}

bool window_is_open(const struct window *window, size_t offset)
{
	for (unsigned i = 0; i < window->range_count; i++)
		if (offset >= window->ranges[i].start && offset < window->ranges[i].end)
			return true;
	return false;
}
