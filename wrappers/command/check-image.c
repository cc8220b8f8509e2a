/*
 * The newest epoch, as a program would get it. That it can be found says that the log is whole
 * (recovery verifies each record of it); then what the epoch holds must make sense: the region
 * table, every table of the allocator, roots that lead to live blocks. With --deep each page of
 * every region is compared with its checksum, also those that no table leads to.
 *
 * A page is damaged once, and found by whoever looks at it: by --deep as the page it is; without,
 * by the validator.
 */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "checking.h"
#include "past.h"
#include "checkpoint/region-table.h"
#include "os.h"
#include "region-list.h"
#include "view.h"

#define SCRUB_PAGES (UINT64_C(1) << 16) /* between two words about how far it is */
#define TELL_NS UINT64_C(500000000)

/* ---- Every page ---- */

struct scrubbing {
	struct check *check;
	const char *name; /* of the region */
	uint64_t looked_at;
	uint64_t start_ns, told_ns;
};

static int scrub_hear(void *context, uint64_t index, int error, const struct home_fault *fault)
{
	struct scrubbing *scrubbing = context;
	char where[96];

	snprintf(where, sizeof(where), "page %" PRIu64 " of %.64s", index, scrubbing->name);
	if (error == CHECKPOINT_E_DAMAGED)
		finding_add_number(&scrubbing->check->findings, where, fault->file_offset,
				   fault->found, fault->expected);
	else
		finding_add(&scrubbing->check->findings, where, fault->file_offset,
			    strerror(-error), "readable bytes");
	return 0;
}

/* Long work says how far it is, to who sits before it. */
static void scrub_tell(struct scrubbing *scrubbing, uint64_t done, uint64_t all)
{
	uint64_t now_ns = os_clock_ns(CLOCK_MONOTONIC);

	if (!isatty(STDERR_FILENO) || now_ns - scrubbing->told_ns < TELL_NS || !done)
		return;
	uint64_t left_s = (now_ns - scrubbing->start_ns) / done * (all - done) / 1000000000;
	fprintf(stderr, "\r\033[Kheapsake: %.40s: %d %%, %" PRIu64 " pages read, %" PRIu64 " s left",
		scrubbing->name, (int)(done * 100 / all), scrubbing->looked_at, left_s);
	scrubbing->told_ns = now_ns;
}

static void scrub_region(struct check *check, struct image *image, const char *name, uint32_t id,
			 uint64_t page_count)
{
	uint64_t start_ns = os_clock_ns(CLOCK_MONOTONIC);
	struct scrubbing scrubbing = {
		.check = check, .name = name, .start_ns = start_ns, .told_ns = start_ns};

	for (uint64_t first = 0; first < page_count; first += SCRUB_PAGES) {
		uint64_t looked_at;
		checkpoint_scrub(image->checkpoint, id, first, SCRUB_PAGES, scrub_hear, &scrubbing,
				 &looked_at);
		scrubbing.looked_at += looked_at;
		scrub_tell(&scrubbing, first, page_count);
	}
	if (scrubbing.told_ns != start_ns)
		fprintf(stderr, "\r\033[K");
}

/* ---- Regions ---- */

static void check_regions(struct check *check, struct image *image)
{
	static struct region_table table;
	struct region_table_finding finding;
	struct refusal why;
	uint32_t id;
	int error = region_table_read(image->checkpoint, &table, &finding);

	if (error == REGION_TABLE_E_DAMAGED)
		finding_add_number(&check->findings, finding.what, finding.offset, finding.found,
				   finding.expected);
	else if (error && !check->is_deep) /* else it has been found */
		finding_add(&check->findings, "region table",
			    checkpoint_fault(image->checkpoint).file_offset,
			    (image_refuse_page(image, error, &why), why.line), "verified pages");
	if (error)
		return;
	error = region_table_announce(image->checkpoint, &table, &id);
	if (error) {
		finding_add_number(&check->findings, "place of a region", id, 0, 1);
		return;
	}
	for (unsigned i = 0; check->is_deep && i < LAYOUT_TABLE_REGIONS; i++)
		if (table.regions[i].id)
			scrub_region(check, image, table.regions[i].name, table.regions[i].id,
				     table.regions[i].page_count);
}

/* ---- The heap ---- */

static void heap_hear(void *context, const struct heap_finding *finding)
{
	struct check *check = context;
	char where[96];

	snprintf(where, sizeof(where), "heap: %s", finding->what);
	finding_add_number(&check->findings, where, finding->offset, finding->found,
			   finding->expected);
}

static void check_roots(struct check *check, const struct view *view)
{
	const char *name;
	void *p;

	for (unsigned i = 0; heap_list_root(i, &name, &p); i++) {
		char where[96];
		void *start;
		size_t bytes;
		if (heap_find_block(p, &start, &bytes))
			continue;
		snprintf(where, sizeof(where), "root %s", name);
		finding_add(&check->findings, where, (uint64_t)((char *)p - view->base),
			    "no live block", "a live block");
	}
}

/* Without --deep, what the validator could not read is told here. */
static void check_view(struct check *check, const struct view *view)
{
	if (view->has_failed && !check->is_deep)
		finding_add(&check->findings, "page of the heap",
			    view->fault.file_offset, view->why.line, "verified pages");
}

static void check_heap(struct check *check, struct image *image)
{
	struct heap_finding finding;
	struct heap_stats stats;
	struct view view;
	int error = view_open(&view, image, &finding);

	if (error == HEAP_E_DAMAGED) {
		heap_hear(check, &finding);
		check_view(check, &view);
		return;
	}
	if (error) {
		finding_add(&check->findings, "heap", 0, strerror(-error),
			    "its addresses to be free in this process; try again");
		return;
	}
	if (view.has_heap && heap_check(heap_hear, check) == 0) {
		check_roots(check, &view);
		heap_get_stats(&stats);
		check->blocks = stats.live_blocks;
		check->bytes = stats.live_bytes;
	}
	check_view(check, &view);
	view_close(&view);
}

static void scrub_process(struct check *check, struct image *image)
{
	scrub_region(check, image, "process state", CHECKPOINT_REGION_STATE, CHECKPOINT_STATE_PAGES);
	scrub_region(check, image, "directory", CHECKPOINT_REGION_DIRECTORY,
		     CHECKPOINT_DIRECTORY_PAGES);
	scrub_region(check, image, "memory", CHECKPOINT_REGION_MEMORY, CHECKPOINT_MEMORY_PAGES);
}

/* Not of keep=process: an epoch of that may find the allocator in the middle of its work. */
static void check_rest(struct check *check, struct image *image)
{
	check_regions(check, image);
	check_heap(check, image);
}

int check_image(struct check *check, struct pool *pool, struct refusal *ret_why)
{
	static struct image image;
	int status = image_open(&image, pool, 0, ret_why);

	if (status)
		return status;
	if (check->is_deep) {
		scrub_region(check, &image, "heap", CHECKPOINT_REGION_HEAP, image.heap_pages);
		scrub_region(check, &image, "region table", CHECKPOINT_REGION_TABLE,
			     CHECKPOINT_TABLE_PAGES);
	}
	const bool is_process = pool->sb.keep == KEEP_PROCESS;
	if (check->is_deep && is_process)
		scrub_process(check, &image);
	if (image.info.epoch && is_process)
		status = past_check(&image, ret_why);
	else if (image.info.epoch)
		check_rest(check, &image);
	image_close(&image);
	return status;
}
