/*
 * The heap: malloc's family over one range of memory that somebody else provides.
 *
 * Metadata stands apart from user data in dense tables inside the range, so that free() dirties no
 * user page and an image of the range is an image of the heap, thread caches included. The heap
 * knows nothing of files, epochs or libc; it asks for memory through struct heap_memory.
 * One heap per process. How it works: heap/README.md.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* What the heap asks of the owner of its range. Offsets are from base, page-aligned; every call
 * but populate is made under the heap's page lock. */
struct heap_memory {
	void *context;
	int (*grow)(void *context, size_t offset, size_t len);  /* 0: usable, zero; else -errno */
	int (*purge)(void *context, size_t offset, size_t len); /* 0: given back, zero; else -errno */
	void (*populate)(void *context, size_t offset, size_t len); /* a hint */
	/* May be NULL, and called without a lock: this thread has a cache now, so that it should
	 * call heap_thread_exit(); heap_alloc (alone) is about to return NULL, so that malloc can
	 * be a jump to it and errno be set nevertheless. */
	void (*thread_enter)(void *context);
	void (*alloc_failed)(void *context, size_t size);
};

/* heap_create() - an empty heap in [base, base+limit), laid out to become as long as size in later
 * runs: the tables for that are 1/114 of it, before the data, and take no memory until used.
 * 0, -EINVAL (size under HEAP_SIZE_MIN, or its tables do not fit below limit), or what grow
 * returned. */
int heap_create(const struct heap_memory *memory, void *base, size_t size, size_t limit);
#define HEAP_SIZE_MIN (UINT64_C(16) << 20)
#define HEAP_SIZE_MAX ((UINT64_C(1) << 43) - 4096)

/* heap_attach() - go on with the heap whose image stands at base, where it was made. It may have
 * been anywhere in `size` bytes; in this run it may use `limit`, as far as it was laid out for.
 * All that heap_image_extents() names is readable and writable; little of it is touched now.
 * 0; HEAP_E_DAMAGED: it is no whole image, *ret_why says what is wrong, nothing has changed; or
 * -ENOMEM: its data reach beyond limit. */
struct heap_finding {
	size_t offset; /* from base */
	const char *what;
	uint64_t expected;
	uint64_t found;
};
#define HEAP_E_DAMAGED 1
int heap_attach(const struct heap_memory *memory, void *base, size_t size, size_t limit,
		struct heap_finding *ret_why);
size_t heap_limit(void); /* how far it reaches at most, in this run */
void heap_destroy(void); /* forget the heap; its bytes stay. Tests. */

/* The malloc family. NULL: no memory; errno is not touched by any of them, the caller sets it.
 * Pointers of this heap are 16-byte aligned; a bad pointer to heap_free and friends dies with one
 * line. Any thread; heap_free may be called by another thread than heap_alloc. */
void *heap_alloc(size_t size);
void *heap_alloc_zeroed(size_t size);
void *heap_alloc_aligned(size_t alignment, size_t size); /* alignment: a power of two */
void *heap_realloc(void *p, size_t size);                /* p not NULL, size not 0 */
void heap_free(void *p);                                 /* p not NULL */
size_t heap_usable_size(const void *p);

/* Where this heap's pointers lie: from the base to the end of what it has opened, so that a wild
 * pointer is not looked up in tables that are not there. size 0 while there is no heap; it grows
 * before a pointer to what is new is handed out. */
struct heap_range {
	char *base;
	size_t size;
};
extern struct heap_range heap_range;

static inline bool heap_has(const void *p)
{
	return (uintptr_t)p - (uintptr_t)heap_range.base < heap_range.size;
}

bool heap_trim(void);         /* give all unused pages back; true if there were any */
/* heap_forget() - the program gives these pages of its blocks back: they are zeros. 0 or -errno */
int heap_forget(void *start, size_t len);
void heap_thread_exit(void);  /* give this thread's cache back; later calls go uncached */

/*
 * Undo, of one thread: from begin to commit or abort, what it frees stays untouched, what it
 * allocates is remembered, and realloc always moves. A commit frees what was freed. An abort puts
 * the bytes of added ranges back, as they were when added, newest first, and frees what was
 * allocated; what was freed is not. Stores to ranges not added stay.
 * To begin again changes nothing; commit and abort end it, and do nothing where there is none. A
 * thread that ends aborts. A forked child has an undo of its own, in the same state. Not isolation:
 * what was allocated meanwhile must not be freed by other threads before the end.
 * 0, or -ENOMEM: nothing has begun, or been added (-EINVAL: outside of an undo). malloc fails
 * where there is no memory for the note; a free leaks its block there.
 */
int heap_undo_begin(void);
int heap_undo_add(void *p, size_t len); /* any memory of the program */
/* The root of that name is p now, NULL: there is none; set() is what an abort gives it back with */
typedef int heap_undo_set_root(const char *name, void *p);
int heap_undo_root(const char *name, void *p, heap_undo_set_root *set);
void heap_undo_keep(void); /* what was allocated so far and is not freed stays, whatever comes */
void heap_undo_keep_block(void *p); /* the block that begins there stays, whatever comes */
void heap_undo_commit(void);
void heap_undo_abort(void);

/* Blocks of another allocator than this one, where there is no heap, or from before there was.
 * heap_undo_foreign() - release() is what frees them. Before any undo.
 * heap_undo_alloc_foreign() - p was just allocated; returns it, or NULL: no memory for a note
 * heap_undo_free_foreign() - true: p is freed at the end; false: there is no undo, free it now */
void heap_undo_foreign(void (*release)(void *p));
void *heap_undo_alloc_foreign(void *p);
bool heap_undo_free_foreign(void *p);

extern _Thread_local bool heap_undo_is_active __attribute__((tls_model("initial-exec")));

/* heap_begin_epoch() - from now on pages are clean again; threads may be in the heap. It makes the
 * heap one that is sparing of pages: a block older than this call goes back to its slab and not to
 * the next malloc, and slabs wait until they have gathered some, up to an eighth of a class. */
void heap_begin_epoch(void);

/* heap_is_interrupted() - for a signal handler: the instruction interrupted is at pc; was this
 * thread in the middle of a call of the heap's? If not, its part of the heap is whole, and once
 * all threads stand still like that, the heap is. If so, let it go on and try again later: it may
 * hold locks that others wait for. */
bool heap_is_interrupted(uintptr_t pc);

/* Fork in a threaded program: _prepare takes every lock, the others release them; in the child
 * the other threads' caches are left for its own new threads. */
void heap_prefork(void);
void heap_postfork_parent(void);
void heap_postfork_child(void);

struct heap_stats {
	size_t size_bytes;    /* as far as it may grow in this run */
	size_t open_bytes;    /* grown so far */
	size_t live_bytes;    /* in live blocks, by slot size */
	size_t live_blocks;
	size_t cached_bytes;  /* in thread caches */
	size_t dirty_bytes;   /* unused pages not yet given back */
	size_t meta_bytes;    /* metadata */
	size_t large_bytes;   /* of live_bytes, in blocks of their own span */
	size_t large_blocks;
	size_t peak_bytes;    /* most pages in use at once (live, cached, slab slack) */
	size_t threads;       /* thread caches in use */
};
/* Walks every span: milliseconds per GiB. Exact when no other thread allocates. */
void heap_get_stats(struct heap_stats *ret_stats);

/* heap_check() - walk the whole heap and verify every invariant; report() hears each violation
 * (offset from base, what was expected, what was found), and must not allocate: the locks are
 * held. No other thread may allocate, and none be in an undo.
 * Returns the number of violations. */
size_t heap_check(void (*report)(void *context, const struct heap_finding *finding), void *context);

/* heap_find_block() - the live block p points to or into; false: none. For any p, and any bytes the
 * heap has. */
bool heap_find_block(const void *p, void **ret_start, size_t *ret_bytes);

/* Named roots: pointers into the heap, in its first pages, so they roll with epochs.
 * 0, -EINVAL (name empty or over 63 bytes, p not in the heap's data), -ENOENT (removing what is
 * not there), -ENOSPC (1024 are there). heap_get_root: NULL when there is none. heap_list_root:
 * index 0.. until false; no other thread may change roots meanwhile. */
int heap_set_root(const char *name, void *p);
void *heap_get_root(const char *name);
bool heap_list_root(unsigned index, const char **ret_name, void **ret_p);

/*
 * Images: the bytes of a heap that is not in use, wherever they have been read to. Its head is its
 * first HEAP_HEAD_BYTES, the roots a part of it.
 */
#define HEAP_HEAD_BYTES (UINT64_C(256) << 10)
#define HEAP_ROOTS_OFFSET (UINT64_C(128) << 10)
#define HEAP_ROOTS_BYTES (UINT64_C(72) << 10)

/* heap_image_extents() - which parts of the range were open, ascending; some may be empty, or
 * touch. size as above. Verifies the head: 0 or HEAP_E_DAMAGED. */
struct heap_extent {
	size_t offset;
	size_t len;
};
#define HEAP_EXTENTS 4
int heap_image_extents(const void *head, size_t size, struct heap_extent ret_extents[HEAP_EXTENTS],
		       struct heap_finding *ret_why);

/* heap_image_has_roots() - something is to be found again; of zeros, nothing. Any bytes will do. */
bool heap_image_has_roots(const void *head);

/* heap_image_root() - the index'th root, 0.. until false; from the HEAP_ROOTS_BYTES at roots. The
 * offset is as it stands there. */
bool heap_image_root(const void *roots, unsigned index, const char **ret_name,
		     uint64_t *ret_offset);
