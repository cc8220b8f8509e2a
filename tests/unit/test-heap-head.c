/* A heap's head, damaged: no byte of it is believed that cannot be true, and nothing is written to a
 * range that is refused. */
#include "heap-images.h"

#include "heap/tcache.h"

TestSuite(heap_head, .timeout = 100);

/* Damages one place of the image and expects the first finding there; it is refused, by those who
 * only look as well, and not a byte of the range is written. */
static void refuse(void *at, size_t bytes, uint64_t value, const char *what, bool is_in_head)
{
	uint64_t before = 0;
	char *there = arena.base + ((char *)at - image.bytes);
	memcpy(&before, at, bytes);
	memcpy(at, &value, bytes);
	memcpy(there, at, bytes);
	struct heap_extent extents[HEAP_EXTENTS];
	cr_assert_eq(heap_image_extents(image.bytes, SIZE, extents, &why),
		     is_in_head ? HEAP_E_DAMAGED : 0, "%s", what);
	cr_assert_eq(heap_attach(&arena_memory, arena.base, SIZE, SIZE, &why), HEAP_E_DAMAGED, "%s",
		     what);
	cr_assert_str_eq(why.what, what, "%s, not %s", why.what, what);
	cr_assert_neq(why.expected, why.found);
	cr_assert_lt(why.offset, SIZE);
	for (int i = 0; i < HEAP_EXTENTS; i++)
		cr_assert_eq(memcmp(arena.base + image.extents[i].offset,
				    image.bytes + image.extents[i].offset, image.extents[i].len), 0);
	cr_assert_eq(heap_range.size, 0);
	memcpy(at, &before, bytes);
	memcpy(there, &before, bytes);
}

#define REFUSE(lvalue, value, what) refuse(&(lvalue), sizeof(lvalue), (uint64_t)(value), what, true)

Test(heap_head, a_damaged_head_is_refused)
{
	arena_open_size(SIZE);
	live_and_die_in_threads();
	heap_set_root("one", heap_alloc(10));
	heap_free(heap_alloc(100000));
	image_take();
	image_load();
	struct layout_heap *h = (struct layout_heap *)image.bytes;
	REFUSE(h->magic, h->magic + 1, "header: magic");
	REFUSE(h->magic, 0, "header: magic");
	REFUSE(h->size_bytes, 0, "a heap may have that size");
	REFUSE(h->size_bytes, HEAP_SIZE_MAX + 1, "a heap may have that size");
	REFUSE(h->size_bytes, UINT64_MAX, "a heap may have that size");
	REFUSE(h->size_bytes, SIZE - MIB, "header: spans");
	REFUSE(h->size_bytes, SIZE + 64 * MIB, "header: spans");
	REFUSE(h->pagemap, h->pagemap + 4096, "header: pagemap");
	REFUSE(h->spans, h->spans + 4096, "header: spans");
	REFUSE(h->data_start, h->data_start + 4096, "header: data_start");
	REFUSE(h->span_capacity, h->span_capacity - 1, "header: span_capacity");
	REFUSE(h->data_end, 0, "data ends inside the heap");
	REFUSE(h->data_end, SIZE + 4096, "data ends inside the heap");
	REFUSE(h->data_end, UINT64_MAX - 4095, "data ends inside the heap");
	REFUSE(h->data_end, h->data_end + 1, "data ends inside the heap");
	REFUSE(h->span_top, 0, "span records fit");
	REFUSE(h->span_top, UINT32_MAX, "span records fit");
	REFUSE(h->spans_open, 0, "span records fit");
	REFUSE(h->spans_open, h->data_start, "span table is in its place");
	REFUSE(h->pagemap_open, 0, "pagemap is open");
	REFUSE(h->pagemap_open, h->spans, "pagemap is open");
	REFUSE(h->shard_count, 1, "shards are a power of two");
	REFUSE(h->shard_count, 3, "shards are a power of two");
	REFUSE(h->shard_count, 32, "shards are a power of two");
	REFUSE(h->generation, 0, "generation is one, not the last");
	REFUSE(h->generation, UINT32_MAX, "generation is one, not the last");
	REFUSE(h->span_free, h->span_top, "a list begins with a record");
	REFUSE(h->dirty_oldest, h->span_top, "a list begins with a record");
	REFUSE(h->dirty_newest, UINT32_MAX, "a list begins with a record");
	REFUSE(h->clean.head[100], h->span_top, "free spans begin with a record");
	REFUSE(h->dirty.head[3], 1, "bin's bit");
	REFUSE(h->purged.occupied[0], UINT64_MAX, "bin's bit");
	REFUSE(h->slabs[0][3].head, UINT32_MAX, "slabs begin and end with a record");
	REFUSE(h->slabs[1][72].tail, h->span_top, "slabs begin and end with a record");
	REFUSE(h->slabs[0][0].head, 1, "slabs begin and end with a record");
	REFUSE(h->meta_bump, h->meta_bump_end + 64, "unused metadata is data");
	REFUSE(h->meta_bump_end, SIZE, "unused metadata is data");
	REFUSE(h->meta_free[5], h->data_end, "free metadata is data");
	REFUSE(h->meta_free[64], 64, "free metadata is data");
	REFUSE(h->tcaches, h->tcaches + 64, "thread caches are data");
	REFUSE(h->tcaches, h->data_end, "thread caches are data");
	for (unsigned class = 1; class < HEAP_CLASSES; class++) {
		REFUSE(h->classes[class].slot_bytes, 0, "class geometry");
		REFUSE(h->classes[class].inverse, 0, "class geometry");
	}
	struct layout_root *root = (struct layout_root *)(image.bytes + HEAP_ROOTS_OFFSET);
	REFUSE(root->offset, 0, "root has a name and points into the data");
	REFUSE(root->offset, h->data_end, "root has a name and points into the data");
	REFUSE(root[1023].name[0], 'x', "root has a name and points into the data");
	struct layout_span *spans = (struct layout_span *)(image.bytes + h->spans);
	uint32_t *first = (uint32_t *)(image.bytes + h->pagemap) + h->data_start / 4096;
	refuse(&spans[0].kind, 1, SPAN_LARGE, "record 0 is empty", false);
	refuse(first, 4, 0, "the data begin with a record", false);
	refuse(first, 4, h->span_top, "the data begin with a record", false);
	refuse(&spans[*first].start, 8, (uintptr_t)arena.base, "address of the first data", false);
	cr_assert_eq(heap_attach(&arena_memory, arena.base, SIZE, SIZE, &why), 0, "%s", why.what);
	arena_assert_whole();
}

Test(heap_head, noise_is_refused_without_a_crash)
{
	static uint8_t head[HEAP_HEAD_BYTES];
	struct heap_extent extents[HEAP_EXTENTS];
	arena_seed();
	arena_open_size(SIZE);
	live_and_die_in_threads();
	image_take();
	size_t refused = 0;
	for (int round = 0; round < 3000; round++) {
		memcpy(head, image.bytes, sizeof(head));
		for (uint64_t flips = arena_random(16) + 1; flips-- != 0;)
			head[arena_random(sizeof(struct layout_heap))] ^= (uint8_t)(1u << arena_random(8));
		refused += heap_image_extents(head, SIZE, extents, &why) != 0;
		(void)heap_image_has_roots(head);
	}
	cr_assert_gt(refused, 1000);
	for (size_t i = 0; i < sizeof(head); i++)
		head[i] = (uint8_t)arena_random(256);
	cr_assert_eq(heap_image_extents(head, SIZE, extents, &why), HEAP_E_DAMAGED);
}
