/*
 * Memory that is there in every life anyway, the program's own files and its stack, is protected as
 * the program has told, and the stack grows on.
 */
#include <stdint.h>
#include <sys/mman.h>

#include "killed.h"

#define LIVES 3
#define PAGE 4096

enum { READ = 1, WRITE = 2, EXECUTE = 4 };

/* As the kernel's list has it; -1: there is nothing. */
static int protection_at(const void *at)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	uintptr_t start, end;
	char line[512], flags[5];
	int found = -1;

	while (maps && fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-%lx %4s", &start, &end, flags) == 3 && start <= (uintptr_t)at &&
		    (uintptr_t)at < end)
			found = (flags[0] == 'r' ? READ : 0) | (flags[1] == 'w' ? WRITE : 0) |
				(flags[2] == 'x' ? EXECUTE : 0);
	if (maps)
		fclose(maps);
	return found;
}

/* ---- A file of the program, that it never writes to ---- */

static const char constants[4 * PAGE] __attribute__((aligned(PAGE))) = {1, 2, 3};

static void protect_constants(void)
{
	MUST(mprotect((void *)constants, PAGE, PROT_READ | PROT_EXEC) == 0);
	MUST(mprotect((void *)(constants + 2 * PAGE), PAGE, PROT_NONE) == 0);
}

static void check_constants(void)
{
	MUST(protection_at(constants) == (READ | EXECUTE) && constants[0] == 1);
	MUST(protection_at(constants + PAGE) == READ);
	MUST(protection_at(constants + 2 * PAGE) == 0);
	MUST(protection_at(constants + 3 * PAGE) == READ);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	protect_constants();
	for (int life = 1; life < LIVES; life++) {
		die();
		check_constants();
	}
	return failures != 0;
}
