/*
 * Valgrind's memcheck is told of every block, when built with -Dvalgrind=true (the test build).
 * Otherwise these are nothing at all.
 */
#pragma once

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
/* A span for blocks is nobody's until they are allocated; one for metadata is the heap's. */
#define memcheck_span(p, len, is_meta)                                     \
	do {                                                               \
		if (is_meta)                                               \
			VALGRIND_MAKE_MEM_DEFINED(p, len);                 \
		else                                                       \
			VALGRIND_MAKE_MEM_NOACCESS(p, len);                \
	} while (0)

/* Copies whole slots, of which memcheck knows only the bytes the program asked for. */
static inline void memcheck_copy(void *to, const void *from, size_t len)
{
	VALGRIND_DISABLE_ERROR_REPORTING;
	memcpy(to, from, len);
	VALGRIND_ENABLE_ERROR_REPORTING;
}
#else
enum { MEMCHECK_ON = 0 };
#define memcheck_alloc(p, size, is_zero) ((void)(is_zero))
#define memcheck_free(p) ((void)0)
#define memcheck_span(p, len, is_meta) ((void)0)
#define memcheck_copy(to, from, len) memcpy(to, from, len)
#endif
