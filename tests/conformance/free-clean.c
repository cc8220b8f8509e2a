/*
 * DESIGN 4.8: metadata is out of band: free of a long-lived block writes no user page. All of
 * them are read-only while some are freed: through the thread's cache, beyond it, and large ones.
 * only: shared kept
 */
#include <sys/mman.h>

#include "must.h"

#define COUNT 20000
#define SPARED 7 /* one in so many stays, so that pages stay in use on both sides */

static struct {
	char *p;
	size_t size;
} blocks[COUNT];

/* Pages that hold any byte of a block; neighbours share some, which does no harm. */
static void protect(int prot)
{
	for (unsigned i = 0; i < COUNT; i++) {
		const uintptr_t start = (uintptr_t)blocks[i].p & ~(uintptr_t)4095;
		const uintptr_t end = (uintptr_t)blocks[i].p + blocks[i].size;
		MUST(mprotect((void *)start, end - start, prot) == 0);
	}
}

int main(void)
{
	for (unsigned i = 0; i < COUNT; i++) {
		blocks[i].size = i % 500 == 0 ? 300000 : 16 + (size_t)i * 37 % 5000;
		blocks[i].p = malloc(blocks[i].size);
		MUST(is_in_pool(blocks[i].p));
		memset(blocks[i].p, 1, blocks[i].size);
	}
	for (unsigned i = 0; i < COUNT; i++)
		free(malloc(blocks[i].size));

	protect(PROT_READ);
	for (unsigned i = 0; i < COUNT; i++)
		if (i % SPARED != 0)
			free(blocks[i].p);
	protect(PROT_READ | PROT_WRITE);
	for (unsigned i = 0; i < COUNT; i += SPARED)
		free(blocks[i].p);
	MUST(heap_violations() == 0);
}
