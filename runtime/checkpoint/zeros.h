/*
 * Zeros: pages of the heap that were given back, and so changed without a store. Room-private.
 * One bit a page; noted by any thread, taken by the committer.
 */
#pragma once

#include <stdint.h>

int zeros_open(uint64_t page_count); /* 0 or -ENOMEM */
void zeros_close(void);
void zeros_note(uint64_t page, uint64_t page_count);
/* zeros_take() - visit all noted since, ascending, and forget them */
void zeros_take(void (*visit)(void *context, uint64_t page), void *context);
