/*
 * Memory that comes and goes at thousands of places, far below the heap and far above it, between
 * two epochs: more than is noted place by place. What is stored in the heap after that is kept.
 */
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "killed.h"

#define LIVES 3
#define EPOCH_US 300000
#define PAGE 4096
#define PLACES 4000
#define STEP (UINT64_C(16) << 20)
#define BELOW UINT64_C(0x100000000000) /* the heap is at 0x200000000000 */
#define ABOVE UINT64_C(0x300000000000)

static void come_and_go(uint64_t place)
{
	void *const wanted = (void *)(uintptr_t)place; /* NOLINT(performance-no-int-to-ptr) */
	void *memory = mmap(wanted, PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	MUST(memory == wanted);
	MUST(munmap(memory, PAGE) == 0);
}

int main(void)
{
	volatile int *in_heap = malloc(sizeof(int));

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int life = 1; life < LIVES; life++) {
		*in_heap = 0;
		for (uint64_t i = 0; i < PLACES; i++)
			come_and_go((i < PLACES / 2 ? BELOW : ABOVE) + i * STEP);
		usleep(3 * EPOCH_US); /* all of that is taken in */
		*in_heap = life;
		die();
		MUST(*in_heap == life);
	}
	return failures != 0;
}
