/*
 * More separate pieces of memory than can be followed are told, and never kept in part: when enough
 * of them are gone again, the rest comes back.
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "killed.h"

#define LIVES 2
#define PAGE 4096
#define PIECES 9000 /* 8 Ki can be followed */
#define GONE_FIRST 6000
#define GONE_END 8500

static char *memory;

static char *piece(int i)
{
	return memory + (size_t)i * 2 * PAGE;
}

static bool is_there(int i)
{
	return i >= PIECES / 4 && (i < GONE_FIRST || i >= GONE_END);
}

int main(void)
{
	int wrong = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	memory = mmap(NULL, (size_t)PIECES * 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		      -1, 0);
	MUST(memory != MAP_FAILED);
	for (int i = 0; i < PIECES; i++) {
		memset(piece(i), i % 100 + 1, PAGE);
		MUST(munmap(piece(i) + PAGE, PAGE) == 0);
	}
	usleep(500000); /* somebody tries to follow them */
	for (int i = 0; i < PIECES; i++)
		MUST(is_there(i) || munmap(piece(i), PAGE) == 0);
	for (int life = 1; life < LIVES; life++) {
		die();
		for (int i = 0; i < PIECES; i++)
			wrong += is_there(i) && *piece(i) != i % 100 + 1;
		MUST(wrong == 0);
	}
	return failures != 0;
}
