/*
 * Valgrind's memcheck is told of every block, when built with -Dvalgrind=true (the test build).
 * Otherwise these are nothing at all.
 */
#pragma once

#ifdef HEAP_MEMCHECK
#include <valgrind/memcheck.h>
#define memcheck_alloc(p, size, is_zero) VALGRIND_MALLOCLIKE_BLOCK(p, size, 0, is_zero)
#define memcheck_free(p) VALGRIND_FREELIKE_BLOCK(p, 0)
#define memcheck_resize(p, old_size, new_size) \
	VALGRIND_RESIZEINPLACE_BLOCK(p, old_size, new_size, 0)
#else
#define memcheck_alloc(p, size, is_zero) ((void)(is_zero))
#define memcheck_free(p) ((void)0)
#define memcheck_resize(p, old_size, new_size) ((void)0)
#endif
