/*
 * Valgrind's memcheck is told of every block, when built with -Dvalgrind=true (the test build).
 * Otherwise these are nothing at all.
 *
 * What memcheck cannot see here:
 * - Slots stand side by side, so there are no red zones: an overrun by more than a slot's slack
 *   may land in the next live block.
 * - A slot freed is the next one handed out: a use of it is seen only until then, and where an
 *   address was freed more than once memcheck tells of the oldest time it remembers.
 * - The heap's own tables are used without a report, by whomever (memcheck_own): the warning at
 *   exit, of ranges whose errors are not reported, means them.
 * - Roots are offsets, which the leak check does not follow.
 */
#pragma once

#include <stdint.h>
#include <string.h>

#ifdef HEAP_MEMCHECK
#include <valgrind/memcheck.h>
enum { MEMCHECK_ON = 1 };
#define memcheck_alloc(p, size, is_zero)                                   \
	do {                                                               \
		if (p)                                                     \
			VALGRIND_MALLOCLIKE_BLOCK(p, size, 0, is_zero);    \
	} while (0)
#define memcheck_free(p) VALGRIND_FREELIKE_BLOCK(p, 0)
/* The heap's own: used without a word, but never searched for pointers to blocks, of which it is
 * full: nothing would ever be lost. */
#define memcheck_own(p, len)                                            \
	do {                                                            \
		VALGRIND_MAKE_MEM_NOACCESS(p, len);                     \
		VALGRIND_DISABLE_ADDR_ERROR_REPORTING_IN_RANGE(p, len); \
	} while (0)
#define memcheck_disown(p, len) VALGRIND_ENABLE_ADDR_ERROR_REPORTING_IN_RANGE(p, len)
/* A span for blocks is nobody's until they are allocated; one for metadata is the heap's. */
#define memcheck_span(p, len, is_meta)                                  \
	do {                                                            \
		if (is_meta)                                            \
			memcheck_own(p, len);                           \
		else                                                    \
			VALGRIND_MAKE_MEM_NOACCESS(p, len);             \
	} while (0)

/* memcheck_asked() - of `len` bytes of a live block's slot, how many the program asked for. Only
 * memcheck knows; without it, all. */
static inline size_t memcheck_asked(const void *p, size_t len)
{
	VALGRIND_DISABLE_ERROR_REPORTING;
	const uintptr_t end = VALGRIND_CHECK_MEM_IS_ADDRESSABLE(p, len);
	VALGRIND_ENABLE_ERROR_REPORTING;
	return end ? end - (uintptr_t)p : len;
}

/* Copies a slot, of which only the bytes asked for are known to mean anything. */
static inline void memcheck_copy(void *to, const void *from, size_t len)
{
	const size_t asked = memcheck_asked(from, len);
	VALGRIND_DISABLE_ERROR_REPORTING;
	memcpy(to, from, len);
	VALGRIND_ENABLE_ERROR_REPORTING;
	VALGRIND_MAKE_MEM_UNDEFINED((char *)to + asked, len - asked);
}
#else
enum { MEMCHECK_ON = 0 };
#define memcheck_alloc(p, size, is_zero) ((void)(p), (void)(size), (void)(is_zero))
#define memcheck_free(p) ((void)0)
#define memcheck_own(p, len) ((void)0)
#define memcheck_disown(p, len) ((void)0)
#define memcheck_span(p, len, is_meta) ((void)(p), (void)(len), (void)(is_meta))
#define memcheck_asked(p, len) (len)
#define memcheck_copy(to, from, len) memcpy(to, from, len)
#endif
