/* Size classes: which slot size serves a request. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "heap-layout.h"
#include "inside.h"

#define SIZECLASS_MAX_BYTES 32768u /* larger requests get a span of their own */

extern uint8_t sizeclass_table[SIZECLASS_MAX_BYTES / 16 + 1];

HEAP_INLINE unsigned sizeclass_of(size_t size)
{
	return sizeclass_table[(size + 15) / 16];
}

uint32_t sizeclass_bytes(unsigned class); /* class 1..72 */
unsigned sizeclass_capacity(unsigned class); /* slots a thread cache may hold of it */
#define SIZECLASS_CACHE_MAX 256u /* of any */
void sizeclass_fill(struct layout_class ret_classes[HEAP_CLASSES]);
