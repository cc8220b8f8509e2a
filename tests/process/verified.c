/*
 * libheapsake-verified.so, of the build tree only: while all threads stand, each epoch is read back
 * page by page as soon as it is durable, and compared with the memory it was taken of: the heap,
 * and with keep=process all that is kept besides. A store that nobody was told of ends the process,
 * in one line that says where.
 *
 * It costs 2 us a page, so after each it rests four times as long as it took.
 */
#include <string.h>

#include "checkpoint/attempt.h"
#include "checkpoint/dirty-parts.h"
#include "checkpoint/exclude.h"
#include "checkpoint/track.h"
#include "line.h"
#include "os.h"
#include "ours.h"
#include "../../preload/preload.h"
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

static _Noreturn void fail(const char *at, bool is_heap, int error, const char *memory,
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
	line_add(&line, is_heap ? ": heap, page 0x" : ": memory, page 0x");
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

/* libc gives the stack of a thread that has ended back without a word; nobody reads it again. */
static bool is_given_back(const char *at)
{
	uint64_t entry = 0;

	return os_pread_all(committer.plan.track->pagemap.number, &entry, sizeof(entry),
			    (uintptr_t)at / LAYOUT_BLOCK_BYTES * sizeof(entry)) == 0 &&
	       !(entry >> 62); /* neither there nor swapped */
}

static void compare(uint32_t region, uint64_t page, const char *at)
{
	static char memory[LAYOUT_BLOCK_BYTES] __attribute__((aligned(64))) OURS;
	static char image[LAYOUT_BLOCK_BYTES] __attribute__((aligned(64))) OURS;
	const bool is_heap = region == CHECKPOINT_REGION_HEAP;

	if ((!is_heap && is_given_back(at)) || os_read_memory(memory, at, LAYOUT_BLOCK_BYTES) != 0)
		return; /* or of a file that was cut off, say */
	const int error = checkpoint_page(committer.plan.checkpoint, region, page, image);
	blot_all(at, memory);
	blot_all(at, image);
	if (error || memcmp(memory, image, LAYOUT_BLOCK_BYTES) != 0)
		fail(at, is_heap, error, memory, image);
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

static void verify(void)
{
	const uint64_t began_ns = os_clock_ns(CLOCK_MONOTONIC);

	if (began_ns < rested_ns)
		return;
	verify_heap();
	if (committer.plan.memory)
		space_visit(verify_slot, NULL);
	const uint64_t ended_ns = os_clock_ns(CLOCK_MONOTONIC);
	rested_ns = ended_ns + RESTS * (ended_ns - began_ns);
}
