/*
 * The talkative half of the malloc family: knobs and reports, after glibc's malloc(3) pages.
 *
 * Their figures are heap_get_stats(), in glibc's words as far as those fit: `arena` is what the
 * heap has opened of its window, `hblk*` the blocks with pages of their own. Without a pool they
 * are glibc's functions, found by name.
 */
#include "preload.h"

#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>

#include "say.h"

struct mallinfo mallinfo(void);

/* Knobs of glibc's allocator mean nothing to ours: accepted, as the man page allows. */
INTERPOSE int mallopt(int param, int value)
{
	if (malloc_is_active)
		return 1;
	int (*next)(int, int) = foreign_symbol("mallopt");
	return next ? next(param, value) : 0;
}

INTERPOSE int malloc_trim(size_t pad)
{
	if (malloc_is_active)
		return heap_trim();
	int (*next)(size_t) = foreign_symbol("malloc_trim");
	return next ? next(pad) : 0;
}

INTERPOSE struct mallinfo2 mallinfo2(void)
{
	if (!malloc_is_active) {
		struct mallinfo2 (*next)(void) = foreign_symbol("mallinfo2");
		return next ? next() : (struct mallinfo2){0};
	}
	struct heap_stats stats;
	heap_get_stats(&stats);
	return (struct mallinfo2){
		.arena = stats.open_bytes,
		.hblks = stats.large_blocks,
		.hblkhd = stats.large_bytes,
		.uordblks = stats.live_bytes,
		.fordblks = stats.open_bytes - stats.live_bytes - stats.meta_bytes,
		.fsmblks = stats.cached_bytes,
		.keepcost = stats.dirty_bytes,
	};
}

static int saturated(size_t bytes)
{
	return bytes > INT_MAX ? INT_MAX : (int)bytes;
}

INTERPOSE struct mallinfo mallinfo(void)
{
	const struct mallinfo2 info = mallinfo2();
	return (struct mallinfo){
		.arena = saturated(info.arena),
		.ordblks = saturated(info.ordblks),
		.smblks = saturated(info.smblks),
		.hblks = saturated(info.hblks),
		.hblkhd = saturated(info.hblkhd),
		.usmblks = saturated(info.usmblks),
		.fsmblks = saturated(info.fsmblks),
		.uordblks = saturated(info.uordblks),
		.fordblks = saturated(info.fordblks),
		.keepcost = saturated(info.keepcost),
	};
}

INTERPOSE void malloc_stats(void)
{
	if (malloc_is_active) {
		stats_print(STATS_TEXT);
		return;
	}
	void (*next)(void) = foreign_symbol("malloc_stats");
	if (next)
		next();
}

INTERPOSE int malloc_info(int options, FILE *stream)
{
	if (!malloc_is_active) {
		int (*next)(int, FILE *) = foreign_symbol("malloc_info");
		return next ? next(options, stream) : -1;
	}
	if (options != 0)
		return EINVAL;
	struct heap_stats stats;
	heap_get_stats(&stats);
	/* The caller's stream, so the caller's stdio; we hold nothing here. */
	fprintf(stream,
		"<malloc version=\"heapsake-1\">\n"
		"<total type=\"live\" count=\"%zu\" size=\"%zu\"/>\n"
		"<total type=\"large\" count=\"%zu\" size=\"%zu\"/>\n"
		"<total type=\"cached\" size=\"%zu\"/>\n"
		"<total type=\"dirty\" size=\"%zu\"/>\n"
		"<system type=\"current\" size=\"%zu\"/>\n"
		"<system type=\"max\" size=\"%zu\"/>\n"
		"</malloc>\n",
		stats.live_blocks, stats.live_bytes, stats.large_blocks, stats.large_bytes,
		stats.cached_bytes, stats.dirty_bytes, stats.open_bytes, stats.size_bytes);
	return 0;
}
