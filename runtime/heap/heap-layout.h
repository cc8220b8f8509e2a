/*
 * The heap's bytes on media: everything the allocator knows lies in these tables, inside the
 * range it manages, so an image of the range is an image of the heap.
 *
 *	base                                                             base + size
 *	+--------+-------+--------------+----------------+--------------------------+
 *	| header | roots |   pagemap    |   span table   | data: spans, 4 KiB pages |
 *	+--------+-------+--------------+----------------+--------------------------+
 *	                  4 B per page   64 B per span    tiled without gaps up to data_end
 *
 * The tables are as long as the largest heap needs and holes where nothing is yet; each is opened
 * from the front. Positions are offsets from base, but for what malloc and free themselves follow,
 * which are addresses (a heap lives at its recorded base, always). Little endian.
 */
#pragma once

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

/* Another one with each change of what is below: an older heap is refused, not misread. */
#define HEAP_MAGIC UINT64_C(0x3250414548534b48) /* "HKSHEAP2" */
#define HEAP_PAGE_SHIFT 12
#define HEAP_PAGE_BYTES (UINT64_C(1) << HEAP_PAGE_SHIFT)

#define HEAP_CLASSES 73  /* 0: large blocks, a span of their own; 1..72: slots */
#define HEAP_SHARDS_MAX 16
#define HEAP_SPAN_BINS 240
#define HEAP_META_UNIT 64
#define HEAP_META_LISTS 65
#define HEAP_ROOTS 1024
#define HEAP_ROOT_NAME_MAX 63

/* What a span is used for. FREE_DIRTY pages hold memory and old bytes; FREE_CLEAN ones are open
 * and read as zeros; FREE_PURGED ones were given back: the range's owner opens them again. */
enum span_kind {
	SPAN_UNUSED = 0, /* the record stands for nothing; `next` links the free records */
	SPAN_FREE_CLEAN = 1,
	SPAN_FREE_DIRTY = 2,
	SPAN_SLAB = 3,  /* slot_count slots of slot_bytes */
	SPAN_LARGE = 4, /* one block */
	SPAN_META = 5,  /* slot states, thread caches */
	SPAN_FREE_PURGED = 6,
	SPAN_KINDS
};

/* One byte per slot says whose it is. LIVE is any odd number: which one tells when it was handed
 * out, see state.live. */
enum slot_state {
	SLOT_FREE = 0,   /* its slab's, to be taken */
	SLOT_LIVE = 1,   /* the program's */
	SLOT_CACHED = 2, /* a thread cache's: an entry of it, or inside its run */
};

enum span_flags {
	SPAN_ZERO = 1,   /* not of free spans: read as zeros when it was handed out */
	SPAN_IN_USE = 2, /* a slab, the first of its list: slots of it are taken until it is full */
};

/*
 * A run of whole pages. Invariants (heap-check.c verifies them):
 *  1. spans that are not UNUSED tile [data_start, data_end) exactly;
 *  2. pagemap[first page] == pagemap[last page] == its index; of a SLAB every page's is, of any
 *     other kind the inner pages' are 0;
 *  3. no two neighbours are free of the same kind;
 *  4. SLAB: free_count == number of FREE states; no state below `cursor` is FREE; linked in its
 *     shard's list of its class exactly when free_count > 0;
 *  5. LARGE: slot_bytes == 0, inverse == 1, states is its own large_state, which is LIVE;
 *  6. of any other kind, and in record 0 (which the pagemap names where no block begins), inverse
 *     is 0, which no address passes as the start of a slot: see block_at() in heap.c.
 */
struct layout_span {
	char *start;         /* first byte */
	uint8_t *states;     /* state bytes of its slots */
	uint64_t inverse;    /* SLAB: 2^64 / slot_bytes, rounded up; LARGE: 1 */
	uint32_t page_count;
	uint32_t slot_bytes; /* 0: one slot, as long as the span */
	uint32_t next, prev; /* list: free bin, shard's slabs, or free records; 0 ends it */
	union {
		struct {
			uint32_t slot_count;
			uint32_t free_count;
			uint32_t cursor;
		};
		struct { /* FREE_DIRTY: in order of release, oldest first */
			uint32_t older, newer;
			uint32_t released_s; /* by the heap's clock */
		};
	};
	uint8_t kind;
	uint8_t class;
	uint8_t shard;
	uint8_t flags;
	uint8_t large_state;
	uint8_t reserved[3];
};
static_assert(sizeof(struct layout_span) == 64, "a span record is a cache line");

/* A shard's slabs of a class: those with free slots, linked through next and prev, how many there
 * are of any kind, and how many slots of theirs are free. */
struct layout_slab_list {
	uint32_t head, tail;
	uint32_t count;
	uint32_t free_count;
};

/* Free spans of one kind by size: bin b holds what span_bin_of() maps to it. */
struct layout_span_bins {
	uint64_t occupied[4]; /* bit b: bin b is not empty */
	uint32_t head[HEAP_SPAN_BINS];
};

/* What all slabs of a class are like. */
struct layout_class {
	uint32_t slot_bytes;
	uint32_t slot_count;
	uint32_t page_count;
	uint32_t reserved;
	uint64_t inverse;
};

struct layout_heap {
	uint64_t magic;
	uint64_t size_bytes;
	uint64_t pagemap, pagemap_open; /* offset; bytes opened */
	uint64_t spans, spans_open;
	uint64_t data_start, data_end; /* data_end: what has been opened */
	uint32_t span_capacity;
	uint32_t span_top;  /* records ever used */
	uint32_t span_free; /* UNUSED records below it */
	uint32_t shard_count;
	uint64_t used_pages, used_pages_peak; /* in SLAB, LARGE and META spans */
	uint64_t recent_pages; /* the most of used_pages of late, as of recent_s */
	uint32_t recent_s;     /* the heap's clock: seconds in use, over all its runs */
	uint32_t reserved;
	uint64_t dirty_pages;
	uint32_t dirty_oldest, dirty_newest;
	uint64_t meta_bump, meta_bump_end;    /* unused rest of the newest META span */
	uint64_t meta_free[HEAP_META_LISTS];  /* by size in units; the first 8 bytes link */
	uint64_t tcaches;                     /* all thread caches, linked by tcache.next */
	uint32_t generation;                  /* caches of older ones belong to no living thread */
	uint32_t next_shard;
	struct layout_class classes[HEAP_CLASSES];
	struct layout_span_bins clean, dirty, purged;
	struct layout_slab_list slabs[HEAP_SHARDS_MAX][HEAP_CLASSES];
};

struct layout_root {
	char name[HEAP_ROOT_NAME_MAX + 1]; /* "": free */
	uint64_t offset;
};

/* A cached slot: its address and its state byte, so that malloc need not look anything up. */
struct layout_entry {
	char *slot;
	uint8_t *state;
};

/*
 * What one thread caches of one class: a stack of freed slots, and a run of slots never handed
 * out since they left their slab. Only its thread touches it. Its stores are ordered so that a
 * fork between any two of them may lose slots (one, or those that were on their way to their
 * slabs), but never hands one out twice: the top drops before a slot is LIVE, or leaves for its
 * slab, and rises after it is CACHED. A refill holds the slab's lock, which a fork waits for.
 */
struct layout_bin {
	struct layout_entry *top;     /* above the newest entry */
	struct layout_entry *limit;   /* entries <= top <= limit; grows with use to the class's
				       * capacity; a cache that is none has entries == limit */
	struct layout_entry *entries;
	uint64_t run;      /* next slot's index, and << 32 the index after the last */
	char *run_slots;   /* slot 0 of the run's slab */
	uint8_t *run_states;
	uint32_t slot_bytes;
	uint32_t batch; /* slots to take at the next refill; grows with use */
	uint64_t reserved;
};
static_assert(sizeof(struct layout_bin) == 64, "a bin is a cache line");

struct layout_tcache {
	struct layout_bin bins[HEAP_CLASSES];
	uint64_t next;       /* offset of the next thread cache, 0 ends the list */
	uint32_t generation; /* of the heap, while a thread owns it; 0: nobody does */
	uint32_t shard;
	uint64_t reserved[6];
	struct layout_entry entries[];
};
