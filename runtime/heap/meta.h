/* Metadata blocks: slot states of slabs and thread caches. The page lock is held. */
#pragma once

#include "state.h"

#define META_BLOCK_MAX (HEAP_META_UNIT * (HEAP_META_LISTS - 1))

/* meta_new() - offset of `bytes` bytes, zeroed, 64-byte aligned; 0: no memory */
uint64_t meta_new(size_t bytes);
void meta_free(uint64_t offset, size_t bytes);
