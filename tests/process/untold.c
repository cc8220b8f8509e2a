/*
 * Memory that changes with nobody telling: by a system call instruction of the program's own, by
 * children in what is shared with them, by a device, through /proc/self/mem. What comes back is
 * what was there.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "killed.h"

#define PAGE 4096ul
#define PAGES 64ul
#define EPOCHS_US 100000 /* some */
#define A_SECOND_US 1500000

static char *map(int flags)
{
	char *memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);

	MUST(memory != MAP_FAILED);
	return memory;
}

static bool is_all(const char *memory, int byte, unsigned long pages)
{
	for (unsigned long i = 0; i < pages * PAGE; i++)
		if (memory[i] != byte)
			return false;
	return true;
}

static long call(long number, const void *a, unsigned long b, unsigned long c, unsigned long d)
{
	register unsigned long fourth __asm__("r10") = d;
	long result;

	__asm__ volatile("syscall" : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth)
			 : "rcx", "r11", "memory");
	return result;
}

static void give_back(void)
{
	char *advised = map(MAP_PRIVATE), *shrunk = map(MAP_PRIVATE);

	memset(advised, 1, PAGES * PAGE);
	memset(shrunk, 1, PAGES * PAGE);
	usleep(EPOCHS_US);
	MUST(call(SYS_madvise, advised, PAGES / 2 * PAGE, MADV_DONTNEED, 0) == 0);
	MUST(call(SYS_mremap, shrunk, PAGES * PAGE, PAGES / 2 * PAGE, 0) == (long)shrunk);
	MUST(call(SYS_mremap, shrunk, PAGES / 2 * PAGE, PAGES * PAGE, 0) == (long)shrunk);
	die();
	MUST(is_all(advised, 0, PAGES / 2));
	MUST(is_all(advised + PAGES / 2 * PAGE, 1, PAGES / 2));
	MUST(is_all(shrunk, 1, PAGES / 2));
	MUST(is_all(shrunk + PAGES / 2 * PAGE, 0, PAGES / 2));
}

/* May be gone, or not; but not what was never there. */
static void free_some(void)
{
	char *memory = map(MAP_PRIVATE), *heap = aligned_alloc(PAGE, PAGES * PAGE);

	memset(memory, 1, PAGES * PAGE);
	memset(heap, 1, PAGES * PAGE);
	usleep(EPOCHS_US);
	madvise(memory, PAGES * PAGE, MADV_FREE);
	madvise(heap, PAGES * PAGE, MADV_FREE);
	madvise(memory, PAGES * PAGE, MADV_PAGEOUT);
	madvise(heap, PAGES * PAGE, MADV_PAGEOUT);
	const char in_memory = memory[PAGE], in_heap = heap[PAGE];
	die();
	MUST(memory[PAGE] == in_memory);
	MUST(heap[PAGE] == in_heap);
}

static void store_by_child(char *memory, int byte)
{
	const pid_t child = fork();

	if (child == 0) {
		memset(memory, byte, PAGES * PAGE);
		_exit(0);
	}
	MUST(waitpid(child, NULL, 0) == child);
}

static void share(void)
{
	char *fresh = map(MAP_SHARED), *known = map(MAP_SHARED);

	memset(known, 1, PAGES * PAGE);
	usleep(EPOCHS_US);
	store_by_child(fresh, 2);
	store_by_child(known, 3);
	die();
	MUST(is_all(fresh, 2, PAGES));
	MUST(is_all(known, 3, PAGES));
	MUST(call(SYS_madvise, known, PAGES * PAGE, MADV_DONTNEED, 0) == 0); /* gives nothing back */
	die();
	MUST(is_all(known, 3, PAGES));
}

/* A debugger's way, and some compilers': a page of its own where nobody may store. */
static void patch(void)
{
	const int file = open("/proc/self/exe", O_RDONLY), memory = open("/proc/self/mem", O_RDWR);
	char *text = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, file, 0);

	MUST(text != MAP_FAILED && memory >= 0);
	usleep(EPOCHS_US);
	MUST(pwrite(memory, "patched", 7, (off_t)(uintptr_t)text) == 7);
	close(memory);
	usleep(A_SECOND_US);
	die();
	MUST(memcmp(text, "patched", 7) == 0);
	close(file);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	give_back();
	free_some();
	share();
	patch();
	return failures != 0;
}
