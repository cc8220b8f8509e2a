/*
 * Memory that is there in every life anyway, the program's own files and its stack, is protected as
 * the program has told, and the stack grows on.
 */
#include <stdint.h>
#include <stdlib.h>
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

/* ---- The stack ---- */

static char *in_stack; /* a page that nothing lies in */

static __attribute__((noinline)) int go_deeper(int pages)
{
	volatile char page[PAGE];

	memset((char *)page, 1, PAGE);
	return pages ? go_deeper(pages - 1) + page[1] : 0;
}

/* An executable one, as who loads a library with nested functions has it; and closed in between. */
static void protect_stack(void)
{
	char *const here = (char *)((uintptr_t)__builtin_frame_address(0) & ~(uintptr_t)(PAGE - 1));

	go_deeper(40);
	MUST(mprotect(here, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC | PROT_GROWSDOWN) == 0);
	in_stack = here - 16 * PAGE;
	MUST(mprotect(in_stack, PAGE, PROT_NONE) == 0);
}

static void check_stack(int life)
{
	const int all = READ | WRITE | EXECUTE;

	MUST(protection_at(__builtin_frame_address(0)) == all && protection_at(in_stack) == 0);
	MUST(protection_at(in_stack - PAGE) == all && protection_at(in_stack + PAGE) == all);
	MUST(mprotect(in_stack, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC) == 0);
	MUST(go_deeper(life * 256) == life * 256);
	MUST(mprotect(in_stack, PAGE, PROT_NONE) == 0);
}

/* ---- A shared file, closed but for when it is written ---- */

static char name[] = "/tmp/protected-again-XXXXXX";
static char *shared;

static void protect_shared(void)
{
	const int fd = mkstemp(name);

	MUST(fd >= 0 && ftruncate(fd, PAGE) == 0);
	shared = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	MUST(shared != MAP_FAILED && close(fd) == 0);
}

static void check_shared(int life)
{
	MUST(protection_at(shared) == READ && shared[0] == life - 1);
	if (mprotect(shared, PAGE, PROT_READ | PROT_WRITE) != 0) {
		MUST(!"it can be opened again");
		return;
	}
	shared[0] = (char)life;
	MUST(mprotect(shared, PAGE, PROT_READ) == 0);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	protect_constants();
	protect_shared();
	protect_stack();
	for (int life = 1; life < LIVES; life++) {
		die();
		check_constants();
		check_shared(life);
		check_stack(life);
	}
	unlink(name);
	return failures != 0;
}
