/* Memory of the engine's own: whole mappings, for a thread that must not allocate. Room-private. */
#pragma once

#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include "os.h"

static inline void *memory_new(size_t bytes)
{
	void *memory = os_mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return os_is_error(memory) ? NULL : memory;
}

static inline void memory_free(void *memory, size_t bytes)
{
	if (bytes)
		os_munmap(memory, bytes);
}

/* memory_grow() - the same, larger; what it held is kept. NULL: nothing has changed */
static inline void *memory_grow(void *old, size_t old_bytes, size_t bytes)
{
	void *memory = memory_new(bytes);

	if (memory && old_bytes) {
		memcpy(memory, old, old_bytes);
		os_munmap(old, old_bytes);
	}
	return memory;
}
