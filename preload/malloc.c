/*
 * The malloc family: each function checks what POSIX and glibc say about its arguments and
 * forwards to heap_*; nothing else happens here, but for the copies of strings that belong to it.
 *
 * Without a pool, and until start.c has attached one, everything goes to glibc's own heap through
 * the __libc_ names, which need no dlsym. What was allocated there stays there: free() tells the
 * two apart by the address alone, so no order of events can confuse them (foreign.c).
 *
 * Rules of preloaded code:
 *  1. No call that may allocate, no stdio (say.c alone: vsnprintf into the stack), no locale.
 *  2. errno survives every successful call.
 *  3. No lock is held over a system call that can be avoided.
 *  4. Nothing is exported but libc's names and libheapsake.map.
 *  5. Thread-local data is initial-exec.
 *  6. Correct before init and after exit.
 *  7. Built with -fno-builtin (else gcc makes calloc call itself).
 */
#include "preload.h"

#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "os.h"

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void *__libc_valloc(size_t size);
extern void *__libc_pvalloc(size_t size);

void *reallocarray(void *p, size_t count, size_t size);
void cfree(void *p);

bool malloc_is_active;
bool malloc_is_reached;

static __attribute__((noinline, cold)) void *no_memory(size_t size)
{
	memory_warn_full(size);
	errno = ENOMEM;
	return NULL;
}

static inline void *or_no_memory(void *p, size_t size)
{
	return likely(p != NULL) ? p : no_memory(size);
}

static inline void *unless_libcs(void *p, const void *site)
{
	return likely(!heap_undo_is_active) ? p : foreign_keep_libcs(p, site);
}

static __attribute__((noinline, cold)) void *alloc_in_undo(size_t size, const void *site)
{
	return foreign_keep_libcs(malloc_is_active ? heap_alloc(size) :
				  foreign_allocated(__libc_malloc(size)), site);
}

/* Two jumps: heap_alloc() sets errno by way of memory.c. */
static inline void *alloc(size_t size, const void *site)
{
	if (unlikely(heap_undo_is_active))
		return alloc_in_undo(size, site);
	if (unlikely(!malloc_is_active))
		return __libc_malloc(size);
	return heap_alloc(size);
}

#define SITE __builtin_return_address(0) /* in whoever asks */

static inline bool is_power_of_two(size_t n)
{
	return n != 0 && (n & (n - 1)) == 0;
}

INTERPOSE void *malloc(size_t size)
{
	return alloc(size, SITE);
}

INTERPOSE void *calloc(size_t count, size_t size)
{
	size_t bytes;
	if (unlikely(!malloc_is_active)) {
		malloc_is_reached = true;
		return unless_libcs(foreign_allocated(__libc_calloc(count, size)), SITE);
	}
	if (unlikely(__builtin_mul_overflow(count, size, &bytes)))
		return no_memory(SIZE_MAX);
	return or_no_memory(unless_libcs(heap_alloc_zeroed(bytes), SITE), bytes);
}

INTERPOSE void free(void *p)
{
	if (likely(heap_has(p)))
		heap_free(p);
	else
		foreign_free(p);
}

INTERPOSE void cfree(void *p)
{
	free(p);
}

/* realloc(p, 0) frees, and returns NULL without touching errno: glibc's choice of the two. */
INTERPOSE void *realloc(void *p, size_t size)
{
	if (p == NULL)
		return alloc(size, SITE);
	if (unlikely(!heap_has(p)))
		return unless_libcs(foreign_realloc(p, size), SITE);
	if (unlikely(size == 0)) {
		heap_free(p);
		return NULL;
	}
	return or_no_memory(unless_libcs(heap_realloc(p, size), SITE), size);
}

INTERPOSE void *reallocarray(void *p, size_t count, size_t size)
{
	size_t bytes;
	if (unlikely(__builtin_mul_overflow(count, size, &bytes))) {
		errno = ENOMEM;
		return NULL;
	}
	return realloc(p, bytes);
}

/* The callers have made sure that alignment is a power of two. */
static void *alloc_aligned(size_t alignment, size_t size)
{
	if (unlikely(!malloc_is_active))
		return foreign_allocated(__libc_memalign(alignment, size));
	if (unlikely(size > PTRDIFF_MAX))
		return no_memory(size);
	return or_no_memory(heap_alloc_aligned(alignment, size), size | alignment);
}

INTERPOSE void *aligned_alloc(size_t alignment, size_t size)
{
	if (unlikely(!is_power_of_two(alignment))) {
		errno = EINVAL;
		return NULL;
	}
	return alloc_aligned(alignment, size);
}

/* glibc takes any alignment and rounds it up to a power of two. */
INTERPOSE void *memalign(size_t alignment, size_t size)
{
	if (alignment > SIZE_MAX / 2 + 1) {
		errno = EINVAL;
		return NULL;
	}
	size_t rounded = 16;
	while (rounded < alignment)
		rounded *= 2;
	return alloc_aligned(rounded, size);
}

/* Returns the error; errno is not among what POSIX lets it change, and *ret_p only on success. */
INTERPOSE int posix_memalign(void **ret_p, size_t alignment, size_t size)
{
	const int errno_before = errno;
	if (alignment % sizeof(void *) != 0 || !is_power_of_two(alignment))
		return EINVAL;
	void *p = alloc_aligned(alignment, size);
	if (!p) {
		errno = errno_before;
		return ENOMEM;
	}
	*ret_p = p;
	return 0;
}

INTERPOSE void *valloc(size_t size)
{
	if (unlikely(!malloc_is_active))
		return foreign_allocated(__libc_valloc(size));
	return alloc_aligned(OS_PAGE_BYTES, size);
}

INTERPOSE void *pvalloc(size_t size)
{
	if (unlikely(!malloc_is_active))
		return foreign_allocated(__libc_pvalloc(size));
	if (unlikely(size > PTRDIFF_MAX))
		return no_memory(size);
	return alloc_aligned(OS_PAGE_BYTES,
			     (size + OS_PAGE_BYTES - 1) & ~(size_t)(OS_PAGE_BYTES - 1));
}

static char *copy_string(const char *string, size_t len)
{
	char *copy = malloc(len + 1);

	if (copy) {
		memcpy(copy, string, len);
		copy[len] = 0;
	}
	return copy;
}

/* In a transaction libc's would pass for what libc allocates for itself (foreign.c). */
INTERPOSE char *strdup(const char *string)
{
	return copy_string(string, strlen(string));
}

INTERPOSE char *strndup(const char *string, size_t most)
{
	return copy_string(string, strnlen(string, most));
}

INTERPOSE size_t malloc_usable_size(void *p)
{
	return likely(heap_has(p)) ? heap_usable_size(p) : foreign_usable_size(p);
}
