/*
 * libheapsake-verified.so, of the build tree only: under keep=process, while all threads stand, each
 * epoch is read back page by page as soon as it is durable, and compared with the memory it was
 * taken of: the heap, and all that is kept besides, be it there or given back; and no page of the
 * process's own that is not kept may have anything in it. A store that nobody was told of ends the
 * process, in one line that says where.
 *
 * It costs 2 us a page, so after each it rests four times as long as it took. Not for keep=heap:
 * there a thread may be in read(2) at an epoch, and the kernel stores for it.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "checkpoint/attempt.h"
#include "checkpoint/dirty-parts.h"
#include "checkpoint/exclude.h"
#include "checkpoint/track.h"
#include "line.h"
#include "maps.h"
#include "os.h"
#include "ours.h"
#include "../../preload/preload.h"
#include "process/mapped.h"
#include "process/space.h"
#include "process/threads-parts.h"

#define RESTS 4
#define STATUS_WRONG 86
#define BELOW \
	2048u /* what a thread that stands may use of its stack, below the place where it does */
#define ABOVE 256u

static void verify(void);

const enum window_kind choice_window_kind = WINDOW_SHARED;
void (*const choice_verify)(void) = verify;

static uint64_t rested_ns OURS;

/* What changes while they stand: zeros in the copy. */
static void blot(const char *at, char *copy, uint64_t start, uint64_t end)
{
	const uint64_t from = start > (uintptr_t)at ? start : (uintptr_t)at;
	const uint64_t page_end = (uintptr_t)at + LAYOUT_BLOCK_BYTES;
	const uint64_t to = end < page_end ? end : page_end;

	if (from < to)
		memset(copy + (from - (uintptr_t)at), 0, to - from);
}

/* Below where it stands it waits, be that on an alternate stack in the heap; and the kernel notes
 * which processor it was on. */
static void blot_threads(const char *at, char *copy)
{
	for (uint32_t i = 0; i < threads_shared.count; i++) {
		const struct thread_record *record =
			&threads_shared.threads[threads_shared.order[i]].record;
		blot(at, copy, record->frame.rsp - BELOW, record->frame.rsp + ABOVE);
		blot(at, copy, record->rseq, record->rseq + record->rseq_bytes);
	}
}

static void blot_all(const char *at, char *copy)
{
	exclude_apply(at, copy, LAYOUT_BLOCK_BYTES);
	ours_blot(at, copy, LAYOUT_BLOCK_BYTES);
	blot_threads(at, copy);
}

static _Noreturn void fail(const char *at, const char *what, int error, const char *memory,
			   const char *image)
{
	char text[256];
	struct line line = line_in(text, sizeof(text));
	unsigned first = 0, differ = 0;

	for (unsigned i = LAYOUT_BLOCK_BYTES; i--;)
		if (memory[i] != image[i]) {
			first = i;
			differ++;
		}
	line_add(&line, "heapsake: verify: epoch ");
	line_add_number(&line, committer.epoch, 10);
	line_add(&line, what);
	line_add_number(&line, (uintptr_t)at, 16);
	line_add(&line, ": ");
	line_add_number(&line, differ, 10);
	line_add(&line, " bytes are not what memory has, the first at 0x");
	line_add_number(&line, first, 16);
	line_add(&line, "; error ");
	line_add_number(&line, (uint64_t)(error < 0 ? -error : error), 10);
	line_add(&line, "\n");
	os_write(2, line.text, line.len);
	os_exit_group(STATUS_WRONG);
}

/* What is shared is a file's, or is in no page of the process's own; vvar is the kernel's. */
static bool is_own(const struct map *map)
{
	const char *const blank = strchr(map->line, ' ');

	return blank && blank[4] == 'p' && !strstr(map->line, "[v");
}

static bool is_in_own_map(uint64_t at)
{
	struct maps maps;
	struct map map = {0};

	if (maps_open(&maps) != 0)
		return false;
	while (map.end <= at && maps_next(&maps, &map))
		;
	maps_close(&maps);
	return map.start <= at && at < map.end && is_own(&map);
}

static bool is_files(uint64_t at)
{
	uint64_t entry = 0;

	os_pread_all(committer.plan.track->pagemap.number, &entry, sizeof(entry),
		     at / LAYOUT_BLOCK_BYTES * sizeof(entry));
	return entry >> 61 & 1;
}

static bool has_children(void)
{
	siginfo_t info;

	return os_call(SYS_waitid, P_ALL, 0, (long)&info, WEXITED | WNOHANG | WNOWAIT, 0, 0) != -ECHILD;
}

/* A private mapping shows its file's page as long as it has none of its own, and whether it shows
 * what is written to the file meanwhile nobody promises. And children, who do not stand, store to
 * what is shared with them. */
static bool may_differ(const char *at)
{
	return is_in_own_map((uintptr_t)at) ? is_files((uintptr_t)at) : has_children();
}

static void compare(uint32_t region, uint64_t page, const char *at)
{
	static char memory[LAYOUT_BLOCK_BYTES] __attribute__((aligned(64))) OURS;
	static char image[LAYOUT_BLOCK_BYTES] __attribute__((aligned(64))) OURS;

	if (os_read_memory(memory, at, LAYOUT_BLOCK_BYTES) != 0)
		return; /* of a file that was cut off, say */
	const int error = checkpoint_page(committer.plan.checkpoint, region, page, image);
	blot_all(at, memory);
	blot_all(at, image);
	if ((error || memcmp(memory, image, LAYOUT_BLOCK_BYTES) != 0) &&
	    (error || region == CHECKPOINT_REGION_HEAP || !may_differ(at)))
		fail(at, region == CHECKPOINT_REGION_HEAP ? ": heap, page 0x" : ": memory, page 0x", error,
		     memory, image);
}

static void verify_heap(void)
{
	const struct window *window = &preload.window;

	for (unsigned i = 0; i < window->range_count; i++)
		for (size_t at = window->ranges[i].start; at < window->ranges[i].end;
		     at += LAYOUT_BLOCK_BYTES)
			compare(CHECKPOINT_REGION_HEAP, at / LAYOUT_BLOCK_BYTES, window->base + at);
}

static void verify_slot(void *context, uint64_t slot, const struct space_slot *found)
{
	for (unsigned i = 0; i < SPACE_CHUNK_PAGES; i++) {
		const uint64_t address =
			(found->chunk * SPACE_CHUNK_PAGES + i) * LAYOUT_BLOCK_BYTES;
		if (found->kept[i / 64] >> (i % 64) & 1)
			compare(CHECKPOINT_REGION_MEMORY, slot * SPACE_CHUNK_PAGES + i,
				(const char *)address); /* NOLINT(performance-no-int-to-ptr) */
	}
}

/* What memory shows at `at` before anybody has stored to it; zeros where no file is, or the name does
 * not fit into the line. */
static void read_shown(const struct map *map, uint64_t at, char *ret_page)
{
	const char *const path = strchr(map->line, '/'), *c = strchr(map->line, ' ');
	uint64_t offset = 0;

	memset(ret_page, 0, LAYOUT_BLOCK_BYTES);
	if (!path || !c)
		return;
	for (c += 6; *c && *c != ' '; c++)
		offset = offset * 16 + (uint64_t)(*c <= '9' ? *c - '0' : *c - 'a' + 10);
	const int fd = os_open(path, O_RDONLY | O_CLOEXEC, 0);
	if (fd >= 0) {
		os_pread_all(fd, ret_page, LAYOUT_BLOCK_BYTES, offset + at - map->start);
		os_close(fd);
	}
}

/* What the process has a page of its own for, which is not what it would be without. */
static void verify_unkept(const struct map *map, uint64_t start, uint64_t end)
{
	static char memory[LAYOUT_BLOCK_BYTES] __attribute__((aligned(64))) OURS;
	static char shown[LAYOUT_BLOCK_BYTES] __attribute__((aligned(64))) OURS;

	for (uint64_t at = start; at < end; at += LAYOUT_BLOCK_BYTES) {
		const char *const page = (const char *)at; /* NOLINT(performance-no-int-to-ptr) */
		if (space_has(at, at + LAYOUT_BLOCK_BYTES) ||
		    os_read_memory(memory, page, LAYOUT_BLOCK_BYTES) != 0)
			continue;
		read_shown(map, at, shown);
		blot_all(page, memory);
		blot_all(page, shown);
		if (memcmp(memory, shown, LAYOUT_BLOCK_BYTES) != 0)
			fail(page, ": not kept, page 0x", 0, memory, shown);
	}
}

static void verify_map(const struct map *map, uint64_t start, uint64_t end)
{
	const struct track *track = committer.plan.track;
	const struct pagemap_query query = {
		.inverted = PAGES_FILE | track->guard,
		.all = PAGES_FILE | track->guard,
		.any = PAGES_THERE,
		.returned = PAGES_PRESENT,
	};
	static struct pagemap_run runs[64] OURS;
	long count;

	do {
		count = pagemap_scan(track->pagemap.number, &query, start, end, runs, 64);
		for (long i = 0; i < count; i++)
			verify_unkept(map, runs[i].start, start = runs[i].end);
	} while (count == 64);
}

static void verify_all_maps(void)
{
	struct maps maps;
	struct map map;

	if (maps_open(&maps) != 0)
		return;
	while (maps_next(&maps, &map)) {
		for (uint64_t at = map.start, end; is_own(&map) && at < map.end; at = end) {
			end = mapped_end_of_side(at, map.end);
			if (!mapped_end_of_ours(at))
				verify_map(&map, at, end);
		}
	}
	maps_close(&maps);
}

static void verify(void)
{
	const uint64_t began_ns = os_clock_ns(CLOCK_MONOTONIC);

	if (!committer.plan.memory || began_ns < rested_ns)
		return;
	verify_heap();
	space_visit(verify_slot, NULL);
	verify_all_maps();
	const uint64_t ended_ns = os_clock_ns(CLOCK_MONOTONIC);
	rested_ns = ended_ns + RESTS * (ended_ns - began_ns);
}
