/*
 * Pointers that are not in our heap: whose are they?
 *
 * glibc's own heap is our bootstrap arena: what ld.so and libc allocate before the pool is
 * attached, and everything in a process without a pool, lies there and goes back there. Such
 * frees are rare once a pool is attached, so there is time to look for the two mistakes glibc's
 * heap would die of in words that do not help: a pointer to a variable or constant of a loaded
 * module, and one into the stack.
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
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "os.h"
#include "say.h"

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

/* One line of /proc/self/maps, as far as it matters here. */
struct mapping {
	uintptr_t start, end;
	bool is_main_stack;
};

static const char *hex_parse(const char *at, uintptr_t *ret_value)
{
	uintptr_t value = 0;
	for (;; at++) {
		if (*at >= '0' && *at <= '9')
			value = value * 16 + (uintptr_t)(*at - '0');
		else if (*at >= 'a' && *at <= 'f')
			value = value * 16 + (uintptr_t)(*at - 'a' + 10);
		else
			break;
	}
	*ret_value = value;
	return at;
}

static struct mapping mapping_parse(const char *line)
{
	struct mapping mapping;
	const char *at = hex_parse(line, &mapping.start);
	if (*at == '-')
		at++;
	hex_parse(at, &mapping.end);
	mapping.is_main_stack = strstr(line, "[stack]") != NULL;
	return mapping;
}

/* The mapping an address lies in. Little stack: the caller may have 16 KiB of it in all. */
static bool mapping_find(uintptr_t address, struct mapping *ret_mapping)
{
	char chunk[512], line[128];
	size_t length = 0;
	bool is_found = false;
	long count;

	const int fd = os_open("/proc/self/maps", O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return false;
	const int errno_before = errno;
	while (!is_found && (count = read(fd, chunk, sizeof(chunk))) > 0) {
		for (long i = 0; i < count && !is_found; i++) {
			if (chunk[i] != '\n') {
				if (length < sizeof(line) - 1)
					line[length++] = chunk[i];
				continue;
			}
			line[length] = '\0';
			length = 0;
			*ret_mapping = mapping_parse(line);
			is_found = address >= ret_mapping->start && address < ret_mapping->end;
		}
	}
	errno = errno_before;
	os_close(fd);
	return is_found;
}

/* The main thread's stack has a name. Another thread's reaches from its frame up to its thread
 * block; all three in one mapping, so that a signal stack does not mislead us. */
static bool is_on_stack(const void *p)
{
	struct mapping mapping;
	const uintptr_t at = (uintptr_t)p;
	const uintptr_t frame = (uintptr_t)__builtin_frame_address(0);
	const uintptr_t top = (uintptr_t)pthread_self();

	if (!mapping_find(at, &mapping))
		return false;
	return mapping.is_main_stack ||
	       (frame >= mapping.start && top < mapping.end && at >= frame && at < top);
}

static const char *basename_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
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
			basename_of(info.dli_fname));
	if (is_on_stack(p))
		say_die(call, "%p: lies in this thread's stack; pass a pointer malloc gave", p);
}

void foreign_free(void *p)
{
	if (p == NULL || is_abandoned(p))
		return;
	check_is_heap("free()", p);
	__libc_free(p);
}

void *foreign_realloc(void *p, size_t size)
{
	if (is_abandoned(p)) {
		errno = ENOMEM;
		return NULL;
	}
	check_is_heap("realloc()", p);
	return __libc_realloc(p, size);
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
