/*
 * libheapsake-private.so, of the build tree only: the window keep=heap will work on, for tests
 * and benchmarks, and a way for them to validate the heap from inside the process.
 */
#include "preload.h"

#include "say.h"

const enum window_kind choice_window_kind = WINDOW_PRIVATE;
void (*const choice_verify)(void) = NULL;

size_t hsk_test_check(void);

static void finding_print(void *context, const struct heap_finding *finding)
{
	(void)context;
	say_line("heapsake: heap: offset 0x%zx: %s: expected %llu, found %llu", finding->offset,
		 finding->what, (unsigned long long)finding->expected,
		 (unsigned long long)finding->found);
}

/* hsk_test_check() - number of broken invariants; no other thread may allocate meanwhile */
INTERPOSE size_t hsk_test_check(void)
{
	return malloc_is_active ? heap_check(finding_print, NULL) : 0;
}
