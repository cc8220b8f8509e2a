/*
 * How a heap comes to be: laid out in an empty range, or found in the image an epoch kept.
 *
 * An image is mapped lazily, so what attaches to it reads its head and two records and no more:
 * milliseconds at any size. What is read is verified before it is believed: all that follows from
 * the size is computed again and compared, every number that leads into a table lies inside it.
 * The rest of the tables are as trustworthy as the epoch's page checksums; heap_check() verifies
 * them for whoever has the time.
 *
 * Nobody lives in an image. A new generation makes every thread cache an orphan, to be adopted by
 * threads that start, or emptied where slots are wanted (tcache.c). The heap's clock goes on where
 * it stopped, so ages in the image mean what they meant.
 *
 * A heap keeps the size it was laid out for, as its tables stand before its data. Who may want to
 * grow it lays it out for more (size) than it may use in this run (limit): the tables are holes.
 */
#include "heap-walk.h"

#include <errno.h>
#include <sched.h>

#include "memcheck.h"
#include "sizeclass.h"
#include "span-file.h"
#include "tcache.h"
#include "undo.h"

#define PAGEMAP_OFFSET HEAP_HEAD_BYTES
#define TABLE_ALIGN_BYTES UINT64_C(65536)
/* Slabs and large blocks have more pages; of blocks with an alignment beyond a page, and the holes
 * between them, there may be more than records: then the heap is full before its pages are. */
#define PAGES_PER_SPAN 2

static_assert(HEAP_SIZE_MAX / HEAP_PAGE_BYTES <= UINT32_MAX / 2, "pages have numbers");
static_assert(sizeof(struct layout_heap) <= HEAP_ROOTS_OFFSET, "the header fits its place");
static_assert(HEAP_ROOTS * sizeof(struct layout_root) == HEAP_ROOTS_BYTES, "roots are that long");
static_assert(HEAP_ROOTS_OFFSET + HEAP_ROOTS_BYTES <= HEAP_HEAD_BYTES, "roots fit their place");

/* As many shards as keep the processors out of each other's way, a power of two. */
static uint32_t shards_wanted(void)
{
	cpu_set_t cpus;
	uint32_t shards = 2;
	const uint32_t count =
		sched_getaffinity(0, sizeof(cpus), &cpus) == 0 ? (uint32_t)CPU_COUNT(&cpus) : 1;
	while (shards < 2 * count && shards < HEAP_SHARDS_MAX)
		shards *= 2;
	return shards;
}

static uint64_t spans_of(uint64_t size)
{
	return heap_round_up(PAGEMAP_OFFSET + (size / HEAP_PAGE_BYTES + 1) * sizeof(uint32_t),
			TABLE_ALIGN_BYTES);
}

static uint64_t data_start_of(uint64_t size)
{
	const uint64_t capacity = size / HEAP_PAGE_BYTES / PAGES_PER_SPAN;
	return heap_round_up(spans_of(size) + capacity * sizeof(struct layout_span), TABLE_ALIGN_BYTES);
}

static bool size_is_possible(uint64_t size)
{
	return size >= HEAP_SIZE_MIN && size <= HEAP_SIZE_MAX;
}

/* What a header says that follows from the size alone. */
static void layout_fill(struct layout_heap *header, uint64_t size)
{
	header->magic = HEAP_MAGIC;
	header->size_bytes = size;
	header->pagemap = PAGEMAP_OFFSET;
	header->spans = spans_of(size);
	header->span_capacity = (uint32_t)(size / HEAP_PAGE_BYTES / PAGES_PER_SPAN);
	header->data_start = data_start_of(size);
	sizeclass_fill(header->classes);
}

/* The process's way to a heap whose header is whole. Its clock is at header->recent_s. */
static void state_set(const struct heap_memory *memory, struct layout_heap *header, size_t limit)
{
	char *base = (char *)header;
	uint32_t *pagemap = (uint32_t *)(base + header->pagemap);
	state = (struct heap_state){
		.header = header,
		.pagemap = pagemap,
		.pagemap_of_zero = pagemap - ((uintptr_t)base >> HEAP_PAGE_SHIFT),
		.spans = (struct layout_span *)(base + header->spans),
		.roots = (struct layout_root *)(base + HEAP_ROOTS_OFFSET),
		.size = header->size_bytes,
		.shard_count = header->shard_count,
		.limit = limit - limit % HEAP_PAGE_BYTES,
		.clock_start_s = span_clock_seconds() - header->recent_s,
		.run_start_s = header->recent_s,
		.live = SLOT_LIVE,
		.memory = *memory,
	};
	heap_range = (struct heap_range){base, header->data_end};
	memcheck_own(base, PAGEMAP_OFFSET);
	memcheck_own(base + header->pagemap, header->pagemap_open);
	memcheck_own(base + header->spans, header->spans_open);
}

int heap_create(const struct heap_memory *memory, void *base, size_t size, size_t limit)
{
	if (!size_is_possible(size) || limit > size || limit < HEAP_SIZE_MIN ||
	    data_start_of(size) >= limit - limit % HEAP_PAGE_BYTES)
		return -EINVAL;
	struct layout_heap *header = base;
	int error = memory->grow(memory->context, 0, PAGEMAP_OFFSET);
	if (error)
		return error;

	layout_fill(header, size);
	header->data_end = header->data_start;
	header->span_top = 1; /* record 0 stands for "no span" */
	header->shard_count = shards_wanted();
	header->generation = 1;
	error = memory->grow(memory->context, header->pagemap, SPAN_TABLE_STEP_BYTES);
	if (!error)
		error = memory->grow(memory->context, header->spans, SPAN_TABLE_STEP_BYTES);
	if (error)
		return error;
	header->pagemap_open = header->spans_open = SPAN_TABLE_STEP_BYTES;
	state_set(memory, header, limit);
	return 0;
}

#define expect_field(walk, header, field, expected) \
	walk_expect(walk, offsetof(struct layout_heap, field), "header: " #field, expected, \
		    (header)->field)

bool image_check_header(struct walk *walk, const struct layout_heap *header, uint64_t size)
{
	const size_t before = walk->findings;
	struct layout_heap fresh;

	layout_fill(&fresh, size);
	expect_field(walk, header, magic, fresh.magic);
	expect_field(walk, header, size_bytes, fresh.size_bytes);
	expect_field(walk, header, pagemap, fresh.pagemap);
	expect_field(walk, header, spans, fresh.spans);
	expect_field(walk, header, data_start, fresh.data_start);
	expect_field(walk, header, span_capacity, fresh.span_capacity);
	for (unsigned class = 1; class < HEAP_CLASSES; class++)
		walk_expect(walk, offsetof(struct layout_heap, classes[class]), "class geometry", 0,
			    memcmp(&header->classes[class], &fresh.classes[class],
				   sizeof(fresh.classes[class])) != 0);
	walk_expect(walk, offsetof(struct layout_heap, data_end), "data ends inside the heap", 1,
		    header->data_end >= fresh.data_start && header->data_end <= size &&
			    header->data_end % HEAP_PAGE_BYTES == 0);
	walk_expect(walk, offsetof(struct layout_heap, span_top), "span records fit", 1,
		    header->span_top >= 1 && header->span_top <= header->span_capacity &&
			    header->span_top * sizeof(struct layout_span) <= header->spans_open);
	walk_expect(walk, offsetof(struct layout_heap, spans_open), "span table is in its place", 1,
		    header->spans_open <= fresh.data_start - fresh.spans &&
			    header->spans_open % HEAP_PAGE_BYTES == 0);
	const uint64_t mapped = header->data_end == fresh.data_start ? 1 :
				header->data_end / HEAP_PAGE_BYTES * sizeof(uint32_t);
	walk_expect(walk, offsetof(struct layout_heap, pagemap_open), "pagemap is open", 1,
		    mapped <= header->pagemap_open &&
			    header->pagemap_open <= fresh.spans - fresh.pagemap &&
			    header->pagemap_open % HEAP_PAGE_BYTES == 0);
	const uint32_t shards = header->shard_count;
	walk_expect(walk, offsetof(struct layout_heap, shard_count), "shards are a power of two", 1,
		    shards >= 2 && shards <= HEAP_SHARDS_MAX && (shards & (shards - 1)) == 0);
	walk_expect(walk, offsetof(struct layout_heap, generation), "generation is one, not the last", 1,
		    header->generation != 0 && header->generation != UINT32_MAX);
	return walk->findings == before;
}

/* The size a header claims, from which much follows. */
static bool check_size(struct walk *walk, const struct layout_heap *header)
{
	const size_t before = walk->findings;
	expect_field(walk, header, magic, HEAP_MAGIC);
	walk_expect(walk, offsetof(struct layout_heap, size_bytes), "a heap may have that size", 1,
		    size_is_possible(header->size_bytes));
	return walk->findings == before;
}

static void check_bins(struct walk *walk, const struct layout_heap *header,
		       const struct layout_span_bins *bins)
{
	const uint64_t at = (uint64_t)((const char *)bins - (const char *)header);
	for (unsigned bin = 0; bin < HEAP_SPAN_BINS; bin++) {
		walk_expect(walk, at + bin * sizeof(bins->head[0]), "free spans begin with a record", 1,
			    bins->head[bin] < header->span_top);
		walk_expect(walk, at, "bin's bit", bins->head[bin] != 0,
			    bins->occupied[bin / 64] >> (bin % 64) & 1);
	}
}

/* What malloc would follow into the tables without looking. */
static void check_heads(struct walk *walk, const struct layout_heap *header)
{
	const uint32_t lists[] = {header->span_free, header->dirty_oldest, header->dirty_newest};
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		walk_expect(walk, offsetof(struct layout_heap, span_free), "a list begins with a record",
			    1, lists[i] < header->span_top);
	check_bins(walk, header, &header->clean);
	check_bins(walk, header, &header->dirty);
	check_bins(walk, header, &header->purged);
	for (unsigned shard = 0; shard < HEAP_SHARDS_MAX; shard++)
		for (unsigned class = 0; class < HEAP_CLASSES; class++) {
			const struct layout_slab_list *list = &header->slabs[shard][class];
			const uint32_t top = shard < header->shard_count && class != 0 ?
						     header->span_top : 1;
			walk_expect(walk, (uint64_t)((const char *)list - (const char *)header),
				    "slabs begin and end with a record", 1,
				    list->head < top && list->tail < top);
		}
}

static bool is_data(const struct layout_heap *header, uint64_t offset)
{
	return offset >= header->data_start && offset < header->data_end;
}

static void check_metadata(struct walk *walk, const struct layout_heap *header)
{
	walk_expect(walk, offsetof(struct layout_heap, meta_bump), "unused metadata is data", 1,
		    header->meta_bump == header->meta_bump_end ||
			    (is_data(header, header->meta_bump) &&
			     is_data(header, header->meta_bump_end - 1) &&
			     header->meta_bump < header->meta_bump_end));
	for (unsigned units = 0; units < HEAP_META_LISTS; units++)
		walk_expect(walk, offsetof(struct layout_heap, meta_free[units]), "free metadata is data",
			    1, header->meta_free[units] == 0 || is_data(header, header->meta_free[units]));
	walk_expect(walk, offsetof(struct layout_heap, tcaches), "thread caches are data", 1,
		    header->tcaches == 0 ||
			    (is_data(header, header->tcaches) && header->tcaches % HEAP_PAGE_BYTES == 0));
}

static const struct layout_root *roots_of(const void *head)
{
	return (const struct layout_root *)((const char *)head + HEAP_ROOTS_OFFSET);
}

static bool root_is_named(const struct layout_root *root)
{
	return root->name[0] != '\0' && memchr(root->name, '\0', sizeof(root->name));
}

static void check_roots(struct walk *walk, const struct layout_heap *header)
{
	for (unsigned i = 0; i < HEAP_ROOTS; i++) {
		const struct layout_root *root = &roots_of(header)[i];
		if (root->name[0] != '\0')
			walk_expect(walk, HEAP_ROOTS_OFFSET + i * sizeof(*root),
				    "root has a name and points into the data", 1,
				    root_is_named(root) && is_data(header, root->offset));
	}
}

/* All that can be seen from the head. */
static bool check_head(struct walk *walk, const struct layout_heap *header, size_t size)
{
	if (!check_size(walk, header) || !image_check_header(walk, header, header->size_bytes))
		return false;
	walk_expect(walk, offsetof(struct layout_heap, data_end), "data end inside the range", 1,
		    header->data_end <= size);
	check_heads(walk, header);
	check_metadata(walk, header);
	check_roots(walk, header);
	return walk->findings == 0;
}

/* The first records: the empty one, and the one that says at what address the image was made. */
static bool check_records(struct walk *walk, const struct layout_heap *header)
{
	const char *base = (const char *)header;
	const struct layout_span *spans = (const struct layout_span *)(base + header->spans);
	const uint32_t *pagemap = (const uint32_t *)(base + header->pagemap);

	walk_expect(walk, header->spans, "record 0 is empty", 0,
		    spans[0].inverse | (uintptr_t)spans[0].start | spans[0].kind);
	if (header->data_end == header->data_start)
		return walk->findings == 0;
	const uint32_t first = pagemap[heap_page_of(header->data_start)];
	walk_expect(walk, header->pagemap, "the data begin with a record", 1,
		    first != 0 && first < header->span_top);
	if (walk->findings == 0)
		walk_expect(walk, header->spans + first * sizeof(spans[0]), "address of the first data",
			    (uintptr_t)base + header->data_start, (uintptr_t)spans[first].start);
	return walk->findings == 0;
}

/* Of a walk's findings the first. */
struct first_finding {
	struct heap_finding finding;
	bool is_set;
};

static void keep_first(void *context, const struct heap_finding *finding)
{
	struct first_finding *first = context;
	if (!first->is_set)
		*first = (struct first_finding){*finding, true};
}

int heap_image_extents(const void *head, size_t size, struct heap_extent ret_extents[HEAP_EXTENTS],
		       struct heap_finding *ret_why)
{
	struct first_finding first = {.is_set = false};
	struct walk walk = {.report = keep_first, .context = &first};
	const struct layout_heap *header = head;
	if (!check_head(&walk, header, size)) {
		*ret_why = first.finding;
		return HEAP_E_DAMAGED;
	}
	ret_extents[0] = (struct heap_extent){0, HEAP_HEAD_BYTES};
	ret_extents[1] = (struct heap_extent){header->pagemap, header->pagemap_open};
	ret_extents[2] = (struct heap_extent){header->spans, header->spans_open};
	ret_extents[3] = (struct heap_extent){header->data_start, header->data_end - header->data_start};
	return 0;
}

/* Memcheck has not seen these blocks being allocated. */
static void tell_memcheck(void)
{
	for (uint32_t id = 1; id < state.header->span_top; id++) {
		const struct layout_span *span = &state.spans[id];
		const uint64_t bytes = span->page_count * HEAP_PAGE_BYTES;
		if (span->kind != SPAN_UNUSED)
			memcheck_span(span->start, bytes, span->kind == SPAN_META);
		if (span->kind == SPAN_LARGE)
			memcheck_alloc(span->start, bytes, 1);
		for (uint32_t i = 0; span->kind == SPAN_SLAB && i < span->slot_count; i++)
			if (slot_is_live(&span->states[i]))
				memcheck_alloc(span->start + (size_t)i * span->slot_bytes,
					       span->slot_bytes, 1);
	}
}

int heap_attach(const struct heap_memory *memory, void *base, size_t size, size_t limit,
		struct heap_finding *ret_why)
{
	struct first_finding first = {.is_set = false};
	struct walk walk = {.report = keep_first, .context = &first};
	struct layout_heap *header = base;
	if (!check_head(&walk, header, size) || !check_records(&walk, header)) {
		*ret_why = first.finding;
		return HEAP_E_DAMAGED;
	}
	if (limit > header->size_bytes)
		limit = header->size_bytes;
	if (limit < header->data_end)
		return -ENOMEM;
	header->generation++;
	header->recent_s++; /* nothing of this run is as old as what it finds */
	state_set(memory, header, limit);
	tcache_orphans_wait();
	if (MEMCHECK_ON)
		tell_memcheck();
	return 0;
}

size_t heap_limit(void)
{
	return state.limit;
}

void heap_destroy(void)
{
	heap_range = (struct heap_range){NULL, 0};
	state = (struct heap_state){0};
	tcache_reset();
	undo_reset();
}

bool heap_image_has_roots(const void *head)
{
	for (unsigned i = 0; i < HEAP_ROOTS; i++)
		if (roots_of(head)[i].name[0] != '\0')
			return true;
	return false;
}

bool heap_image_root(const void *roots, unsigned index, const char **ret_name, uint64_t *ret_offset)
{
	const struct layout_root *root = roots;
	for (unsigned i = 0; i < HEAP_ROOTS; i++) {
		if (!root_is_named(&root[i]) || index-- != 0)
			continue;
		*ret_name = root[i].name;
		*ret_offset = root[i].offset;
		return true;
	}
	return false;
}
