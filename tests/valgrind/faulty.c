/*
 * A small program on the static runtime with one fault of the caller's choice; memcheck must name
 * it, which it can only if the heap told it of every block (sees.sh).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "heap/heap.h"

static int grow(void *context, size_t offset, size_t len)
{
	return mprotect((char *)context + offset, len, PROT_READ | PROT_WRITE) ? -1 : 0;
}

static int purge(void *context, size_t offset, size_t len)
{
	return madvise((char *)context + offset, len, MADV_DONTNEED) ? -1 : 0;
}

static void populate(void *context, size_t offset, size_t len)
{
}

/* Every kind of call, in all sizes, without a fault. */
static void use_all_calls(void)
{
	for (size_t size = 1; size < 500000; size = size * 5 / 3 + 1) {
		char *p = memset(heap_alloc(size), 1, size);
		p = heap_realloc(p, size * 2);
		memset(p + size, 2, size);
		p = heap_realloc(p, size / 2 + 1);
		if (p[0] != 1 || p[size / 2] != 1)
			abort();
		const char *zero = heap_alloc_zeroed(size);
		if (zero[size - 1])
			abort();
		char *aligned = heap_alloc_aligned(4096, size);
		aligned[size - 1] = 3;
		heap_free(aligned);
		heap_free((void *)zero);
		heap_free(p);
	}
}

static __attribute__((noinline)) void lose(size_t size)
{
	char *volatile p = heap_alloc(size);
	p[0] = 'l';
	p = NULL;
}

int main(int argc, char **argv)
{
	const char *fault = argc > 1 ? argv[1] : "";
	const size_t size = argc > 2 ? strtoul(argv[2], NULL, 10) : 40;
	static struct {
		char *volatile kept, *volatile fence;
	} reachable;
	char *base = mmap(NULL, 1 << 28, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			  -1, 0);
	const struct heap_memory memory = {
		.context = base, .grow = grow, .purge = purge, .populate = populate};
	if (base == MAP_FAILED || heap_create(&memory, base, 1 << 28, 1 << 28) != 0)
		return 2;

	if (!strcmp(fault, "none"))
		use_all_calls();
	if (!strcmp(fault, "lost"))
		lose(size);
	reachable.fence = heap_alloc(size); /* so that an underrun hits no table of the heap */
	char *volatile p = heap_alloc(size);
	if (heap_usable_size(p) < size)
		return 2;
	if (!strcmp(fault, "uninitialised") && p[size / 2] == 'x')
		puts("x");
	memset(p, 'y', size);
	if (!strcmp(fault, "overrun"))
		p[size] = 'z';
	if (!strcmp(fault, "underrun"))
		p[-1] = 'z';
	if (!strcmp(fault, "shrunk")) {
		p = heap_realloc(p, size - 8);
		p[size - 8] = 'z';
	}
	if (!strcmp(fault, "grown")) {
		p = heap_realloc(p, size + 8);
		if (p[size] == 'x')
			puts("x");
	}
	if (!strcmp(fault, "inside"))
		heap_free(p + 1);
	if (!strcmp(fault, "twice"))
		heap_free(p);
	if (!strcmp(fault, "freed")) {
		heap_free(p);
		reachable.kept = p;
		return reachable.kept[0] == 'q';
	}
	heap_free(p);
	return 0;
}
