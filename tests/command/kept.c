/*
 * A pool as keep=heap leaves it, made by hand: the engine's own commits of a small heap, so that a
 * test knows what is in it and where. `kept POOL fresh|merged [WRONG] [hold ERROR]`: with merged, most of
 * it is in home; WRONG is something the program would have to do to its own tables; with hold, we stay its owner, publish a status, and answer whoever asks for an epoch
 * with ERROR.
 *
 * Prints the file offsets of what tests damage, a line each.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "checkpoint/region-table.h"
#include "control.h"
#include "flush/medium-file.h"
#include "heap/heap.h"
#include "os.h"
#include "pool.h"

static uint64_t size_bytes = UINT64_C(16) << 20;
#define EPOCHS 8
#define LARGE_BYTES (UINT64_C(1) << 20)

static struct pool pool;
static struct medium_file file;
static struct checkpoint *checkpoint;
static struct region regions[3];
static struct region_table table __attribute__((aligned(4096)));
static char globals[2 * 4096] __attribute__((aligned(4096)));
static char *base;
static struct heap_extent extents[HEAP_EXTENTS]; /* what is open of the heap */
static struct refusal why;

static int keep_range(void *context, size_t offset, size_t len)
{
	(void)context, (void)offset, (void)len;
	return 0;
}

static int purge_range(void *context, size_t offset, size_t len)
{
	(void)context;
	memset(base + offset, 0, len);
	return 0;
}

static void ignore_range(void *context, size_t offset, size_t len)
{
	(void)context, (void)offset, (void)len;
}

static const struct heap_memory memory = {
	.grow = keep_range, .purge = purge_range, .populate = ignore_range};

#define MUST(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "kept.c:%d: %s: %s\n", __LINE__, #condition, why.line); \
			exit(1); \
		} \
	} while (0)

static void open_all(const char *path)
{
	MUST(pool_create(path, &(struct pool_plan){.size_bytes = size_bytes}, &why) == 0);
	MUST(pool_open(&pool, path, POOL_OWN, &why) == 0);
	MUST(pool_set_keep(&pool, KEEP_HEAP, &why) == 0);
	base = mmap((void *)pool.sb.base, size_bytes, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
	MUST(base == (void *)pool.sb.base);
	MUST(heap_create(&memory, base, size_bytes, size_bytes) == 0);
	regions[0] = (struct region){.id = CHECKPOINT_REGION_HEAP, .address = base,
				     .page_count = size_bytes / 4096, .home = LAYOUT_USE_HEAP};
	regions[1] = (struct region){.id = CHECKPOINT_REGION_TABLE, .address = (char *)&table,
				     .page_count = CHECKPOINT_TABLE_PAGES,
				     .home = LAYOUT_USE_REGIONS};
	MUST(medium_file_open(&file, &pool, DURABILITY_CACHE) == 0);
	struct checkpoint_plan plan = {.regions = regions, .region_count = 2,
				       .segment_bytes = 1 << 20};
	MUST(checkpoint_open(&checkpoint, &file.medium, &plan, &why) == 0);
	MUST(checkpoint_attach(checkpoint) == 0);
}

/* Globals of a library, two pages of them. */
static void add_globals(void)
{
	regions[2] = (struct region){.id = LAYOUT_TABLE_FIRST_ID, .address = globals, .page_count = 2,
				     .home = LAYOUT_USE_REGIONS, .home_offset = UINT64_MAX};
	MUST(checkpoint_add_region(checkpoint, &regions[2]) == 0);
	table.regions[0] = (struct layout_region){
		.id = LAYOUT_TABLE_FIRST_ID, .kind = LAYOUT_REGION_GLOBALS, .page_count = 2,
		.bytes = sizeof(globals), .home_offset = regions[2].home_offset,
		.flags = LAYOUT_REGION_COUNTS, .name = "libkept.so"};
	memset(globals, 'g', sizeof(globals));
}

/* Bytes of all tables, but for what the offsets of the others stand in. */
static void spoil_at_random(unsigned seed, uint64_t spans)
{
	for (int i = 0; i < 50; i++) {
		base[4096 + (unsigned)rand_r(&seed) % (spans - 4096)] = (char)rand_r(&seed);
		base[spans + (unsigned)rand_r(&seed) % 16384] = (char)rand_r(&seed);
		((char *)&table)[(unsigned)rand_r(&seed) % sizeof(table)] ^= (char)(i % 7 == 0);
	}
}

/* As a wild store of the program would, or somebody with a recipe for checksums. */
static void spoil(const char *what, char *block)
{
	struct { uint64_t magic, size_bytes, pagemap, pagemap_open, spans; } head;

	memcpy(&head, base, sizeof(head));
	if (!strcmp(what, "wrong-span"))
		base[head.spans + 64 + 24] ^= 1; /* its number of pages */
	else if (!strcmp(what, "wrong-root"))
		heap_free(block);
	else if (!strcmp(what, "wrong-region"))
		table.regions[0].kind = 77;
	else if (!strncmp(what, "random-", strlen("random-")))
		spoil_at_random((unsigned)atoi(what + strlen("random-")), head.spans);
}

static size_t add_pages(struct checkpoint_page *pages, size_t count, uint32_t region,
			const char *start, uint64_t first, uint64_t page_count)
{
	for (uint64_t i = first; i < first + page_count; i++)
		pages[count++] = (struct checkpoint_page){region, i, start + i * 4096};
	return count;
}

/* All that is in use; the engine finds what has changed. */
static void commit(void)
{
	static struct checkpoint_page pages[4096];
	size_t count = 0;
	uint64_t epoch;

	for (int i = 0; i < HEAP_EXTENTS; i++)
		count = add_pages(pages, count, 1, base, extents[i].offset / 4096,
				  extents[i].len / 4096);
	count = add_pages(pages, count, 2, (char *)&table, 0, CHECKPOINT_TABLE_PAGES);
	count = add_pages(pages, count, regions[2].id, globals, 0, 2);
	MUST(checkpoint_commit(checkpoint, pages, count, &epoch) == 0);
}

static uint64_t place_of(const struct region *region, uint64_t page)
{
	return region_home_place(region, &pool.sb, page);
}

static void print_place(const char *name, const void *p)
{
	printf("%s %llu\n", name,
	       (unsigned long long)(place_of(&regions[0], (uint64_t)((const char *)p - base) / 4096)));
}

static void fill_heap(char **ret_block, char **ret_large)
{
	char **list = heap_alloc(100 * sizeof(char *));

	for (size_t i = 0; i < 100; i++) {
		list[i] = heap_alloc(100 + i);
		memset(list[i], (int)i, 100 + i);
	}
	*ret_block = list[50];
	*ret_large = heap_alloc(LARGE_BYTES);
	memset(*ret_large, 'l', LARGE_BYTES);
	MUST(heap_set_root("list", list) == 0 && heap_set_root("block", list[50] + 10) == 0);
	MUST(heap_set_root("large", *ret_large) == 0);
}

static void print_status(const struct heap_stats *stats)
{
	struct checkpoint_info info;

	checkpoint_info(checkpoint, &info);
	printf("blocks %zu\nbytes %zu\n", stats->live_blocks, stats->live_bytes);
	printf("epoch %llu\noldest %llu\n", (unsigned long long)info.epoch,
	       (unsigned long long)info.oldest_epoch);
	for (uint32_t i = 0; i < pool.sb.extent_count; i++)
		printf("extent-%u %llu\n", pool.sb.extents[i].use,
		       (unsigned long long)pool.sb.extents[i].file_offset);
}

static void hold(int error)
{
	struct control_status status = {
		.epoch = 7, .epoch_unix_ns = os_clock_ns(CLOCK_REALTIME) - 5000000000,
		.dirty_unix_ns = os_clock_ns(CLOCK_REALTIME) - 4000000000, .oldest_epoch = 4,
		.state = error ? CONTROL_DEGRADED : CONTROL_OK, .error = error,
		.interval_ns = 250000, .log_bytes = 12345, .why = "",
		.counters = {1, 2, 3, 4, 5, 6, 7, 8}, .pause = {11, 12, 13}, .commit = {14, 15, 16},
	};

	if (error)
		snprintf(status.why, sizeof(status.why), "made so by a test");
	control_publish(pool.control, &status);
	control_set_heap(pool.control, 4096);
	puts("held");
	fflush(stdout);
	for (;;) {
		uint32_t request, doorbell = control_doorbell(pool.control);
		if (control_pending(pool.control, &request))
			control_answer(pool.control, request, error);
		else
			control_sleep(pool.control, doorbell, UINT64_MAX);
	}
}

int main(int argc, char **argv)
{
	struct heap_finding finding;
	struct heap_stats stats;
	char *block, *large;

	MUST(argc > 2);
	if (argc > 3 && !strcmp(argv[3], "large"))
		size_bytes = UINT64_C(65) << 30;
	open_all(argv[1]);
	add_globals();
	fill_heap(&block, &large);
	MUST(heap_image_extents(base, size_bytes, extents, &finding) == 0);
	heap_get_stats(&stats);
	spoil(argc > 3 ? argv[3] : "", block);
	for (int i = 0; i < EPOCHS; i++) {
		large[i * 64] = (char)i;
		block[i] = (char)i;
		commit();
	}
	if (!strcmp(argv[2], "merged"))
		MUST(checkpoint_merge(checkpoint) == 0);
	MUST(pool_reload(&pool, &why) == 0);
	print_place("block", block);
	print_place("large", large);
	print_place("large-rest", large + LARGE_BYTES / 2);
	print_place("heap", base);
	print_place("roots", base + HEAP_ROOTS_OFFSET);
	printf("globals %llu\n", (unsigned long long)place_of(&regions[2], 0));
	printf("table %llu\n", (unsigned long long)place_of(&regions[1], 0));
	print_status(&stats);
	if (argc > 3 && !strcmp(argv[argc - 2], "hold"))
		hold(atoi(argv[argc - 1]));
	checkpoint_close(checkpoint);
	medium_file_close(&file);
	pool_close(&pool);
	return 0;
}
