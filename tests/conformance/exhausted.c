/*
 * DESIGN 2.6: a full pool is NULL and ENOMEM, one warning per process; freed, it serves again.
 * expect: stderr heapsake: /\S+/test.pool: full: 100000 more bytes do not fit into its 32 MiB; set a larger HEAPSAKE_SIZE
 * with: HEAPSAKE_SIZE=32M
 * only: shared kept
 */
#include "must.h"

struct block {
	struct block *next;
	char rest[99992];
};

static unsigned eat(void)
{
	struct block *list = NULL, *block;
	unsigned count = 0;
	errno = 0;
	while ((block = malloc(sizeof(*block)))) {
		memset(block, 1, sizeof(*block));
		block->next = list;
		list = block;
		count++;
	}
	MUST(errno == ENOMEM);
	for (; list; list = block) {
		block = list->next;
		free(list);
	}
	return count;
}

int main(void)
{
	const unsigned first = eat();
	MUST(first > 150 && first < 336);
	for (unsigned i = 0; i < 20; i++)
		MUST(eat() >= first - 2);
}
