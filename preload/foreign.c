/*
 * Pointers that are not in our heap: whose are they?
 *
 * glibc's own heap is our bootstrap arena: what ld.so and libc allocate before the pool is
 * attached, and everything in a process without a pool, lies there and goes back there. Such
 * frees are rare once a pool is attached, so there is time to look for the two mistakes glibc's
 * heap would die of in words that do not help: a pointer to a variable or constant of a loaded
 * module, and one into the stack.
 *
 * A program without a pool may abort blocks too (tx.c): inside of them what glibc gives and takes
 * is noted as the heap's would be. What libc and ld.so allocate for themselves there (the buffer of
 * a stream, a library that is loaded) an abort must not free, for they do not know that they are in
 * a block; so strdup() must be ours (malloc.c), since what it gives is the program's.
 *
 * realloc() leaves a foreign block with glibc: it belongs to ld.so or to libc's start, neither of
 * which would find it again where the pool is resumed.
 *
 * A heap found broken is abandoned before anybody looks for a backtrace: nothing touches it (or
 * waits for a lock of it) any more, new blocks come from glibc, and frees of old ones do nothing.
 */
#include "preload.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "maps.h"
#include "os.h"
#include "say.h"

extern void *__tls_get_addr(void *index);
extern void __libc_free(void *p);
extern void *__libc_realloc(void *p, size_t size);

static struct heap_range abandoned;

void foreign_abandon_heap(void)
{
	if (abandoned.size == 0)
		abandoned = heap_range;
	malloc_is_active = false;
	heap_range.size = 0;
}

static bool is_abandoned(const void *p)
{
	return (uintptr_t)p - (uintptr_t)abandoned.base < abandoned.size;
}

void *foreign_symbol(const char *name)
{
	return dlsym(RTLD_NEXT, name);
}

/* The mapping an address lies in. */
static bool find_map(uintptr_t address, struct map *ret_map)
{
	struct maps maps;
	bool is_found = false;

	if (maps_open(&maps) != 0)
		return false;
	while (!is_found && maps_next(&maps, ret_map))
		is_found = address >= ret_map->start && address < ret_map->end;
	maps_close(&maps);
	return is_found;
}

/* The main thread's stack has a name. Another thread's reaches from its frame up to its thread
 * block; all three in one mapping, so that a signal stack does not mislead us. */
static bool is_on_stack(const void *p)
{
	struct map map;
	const uintptr_t at = (uintptr_t)p;
	const uintptr_t frame = (uintptr_t)__builtin_frame_address(0);
	const uintptr_t top = (uintptr_t)pthread_self();

	if (!find_map(at, &map))
		return false;
	return strstr(map.line, "[stack]") ||
	       (frame >= map.start && top < map.end && at >= frame && at < top);
}

static void check_is_heap(const char *call, const void *p)
{
	Dl_info info;
	if (!malloc_is_active)
		return;
	if ((uintptr_t)p - (uintptr_t)preload.window.base < preload.window.size_bytes)
		say_die(call, "%p: lies in the pool, but was never given out; pass a pointer "
			"malloc gave", p);
	if (dladdr(p, &info) && info.dli_fname)
		say_die(call, "%p: lies in the image of %s; pass a pointer malloc gave", p,
			basename(info.dli_fname));
	if (is_on_stack(p))
		say_die(call, "%p: lies in this thread's stack; pass a pointer malloc gave", p);
}

void foreign_free(void *p)
{
	if (p == NULL || is_abandoned(p))
		return;
	check_is_heap("free()", p);
	if (!heap_undo_free_foreign(p))
		__libc_free(p);
}

/* ---- Inside of transactions ---- */

static struct {
	const void *start, *end;
} libcs[2]; /* libc and ld.so */

static int find_object(struct dl_phdr_info *info, size_t size, void *context)
{
	const void *const known[] = {(const void *)__libc_free, (const void *)__tls_get_addr};
	(void)size, (void)context;

	for (int i = 0; i < info->dlpi_phnum; i++) {
		const char *start = (const char *)info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
		const char *end = start + info->dlpi_phdr[i].p_memsz;
		for (int j = 0; info->dlpi_phdr[i].p_type == PT_LOAD && j < 2; j++)
			if ((const char *)known[j] >= start && (const char *)known[j] < end) {
				libcs[j].start = start;
				libcs[j].end = end;
			}
	}
	return 0;
}

void foreign_init(void)
{
	heap_undo_foreign(__libc_free);
	dl_iterate_phdr(find_object, NULL);
}

/* Code of libc or ld.so. */
static bool is_libcs(const void *site)
{
	return (site >= libcs[0].start && site < libcs[0].end) ||
	       (site >= libcs[1].start && site < libcs[1].end);
}

void *foreign_keep_libcs(void *p, const void *site)
{
	if (is_libcs(site))
		heap_undo_keep_block(p);
	return p;
}

void *foreign_allocated(void *p)
{
	const bool was_there = p != NULL;

	p = heap_undo_alloc_foreign(p);
	if (was_there && !p)
		errno = ENOMEM;
	return p;
}

/* Where the old block stays as it is until the end of the transaction. */
static void *realloc_undoable(void *p, size_t size)
{
	void *copy = size ? malloc(size) : NULL;
	const size_t old_size = foreign_usable_size(p);

	if (size && !copy)
		return NULL;
	if (copy)
		memcpy(copy, p, size < old_size ? size : old_size);
	foreign_free(p);
	return copy;
}

void *foreign_realloc(void *p, size_t size)
{
	if (is_abandoned(p)) {
		errno = ENOMEM;
		return NULL;
	}
	check_is_heap("realloc()", p);
	return heap_undo_is_active ? realloc_undoable(p, size) : __libc_realloc(p, size);
}

size_t foreign_usable_size(void *p)
{
	static size_t (*next)(void *);
	if (p == NULL || is_abandoned(p))
		return 0;
	check_is_heap("malloc_usable_size()", p);
	if (!next)
		next = foreign_symbol("malloc_usable_size");
	return next ? next(p) : 0;
}
