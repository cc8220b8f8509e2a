/*
 * More is dirty all the time than copies may be held of, and pages that were zeros when they were
 * first looked at are not by then: they must be in the epoch as they are, not as they were. Run
 * twice; the second run says how many of the pages are missing.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "heapsake.h"

#define PAGE_BYTES 4096
#define PAGE_COUNT 4096l
#define AHEAD 200l
#define BURST_BYTES (160l << 20) /* copies: 64 MiB at most */

static bool is_over;

static void *burst(void *block)
{
	for (int i = 1; !__atomic_load_n(&is_over, __ATOMIC_RELAXED); i++)
		memset(block, i, BURST_BYTES);
	return NULL;
}

static long count_missing(const char *pages)
{
	long count = 0;

	for (long i = 0; i < PAGE_COUNT; i++)
		count += pages[i * PAGE_BYTES] != 1;
	return count;
}

int main(void)
{
	volatile char *pages = hsk_root("pages");
	pthread_t thread;

	if (pages) {
		printf("%ld missing\n", count_missing((const char *)pages));
		return 0;
	}
	pages = calloc(PAGE_COUNT + AHEAD, PAGE_BYTES);
	char *block = malloc(BURST_BYTES);
	if (!pages || !block || hsk_set_root("pages", (void *)pages) != 0 ||
	    pthread_create(&thread, NULL, burst, block) != 0)
		return 1;
	for (long i = 0; i < PAGE_COUNT; i++) {
		(void)pages[(i + AHEAD) * PAGE_BYTES]; /* there from now on, and zeros */
		pages[i * PAGE_BYTES] = 1;
		if (i % 10 == 0)
			usleep(1000);
	}
	__atomic_store_n(&is_over, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	return hsk_checkpoint(-1) ? 1 : 0;
}
