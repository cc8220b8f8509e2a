/*
 * fork(2): the child has the parent's heap as it was, freed and live blocks, large ones too.
 */
#include "must.h"

static void *blocks[3000];

static void check(unsigned seed)
{
	for (unsigned i = 0; i < 3000; i++)
		MUST(is_filled(blocks[i], i * 7, i + seed));
}

int main(void)
{
	for (unsigned i = 0; i < 3000; i++)
		fill(blocks[i] = malloc(i * 7), i * 7, i);
	for (unsigned round = 0; round < 5; round++) {
		const pid_t pid = fork();
		if (pid == 0) {
			check(round);
			for (unsigned i = 0; i < 3000; i++)
				memset(blocks[i], 0xee, i * 7);
			for (unsigned i = 0; i < 3000; i++)
				free(blocks[i]);
			exit(5);
		}
		for (unsigned i = 0; i < 3000; i += 2)
			blocks[i] = realloc(blocks[i], i * 7 + round);
		for (unsigned i = 0; i < 3000; i++)
			fill(blocks[i], i * 7, i + round + 1);
		MUST(child_status(pid) == 5);
		check(round + 1);
	}
}
