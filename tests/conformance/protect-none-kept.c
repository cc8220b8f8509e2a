/*
 * mprotect(2): a page that nobody may read keeps its contents; epochs go on, and have it.
 * with: HEAPSAKE_KEEP=heap
 * with: HEAPSAKE_INTERVAL=5ms
 * only: shared
 */
#include "must.h"

#include <sys/mman.h>

#define PAGE 4096
#define PAGES 64

int main(void)
{
	int (*checkpoint)(int) = (int (*)(int))dlsym(RTLD_DEFAULT, "hsk_checkpoint");
	char *p = aligned_alloc(PAGE, PAGES * PAGE);

	MUST(checkpoint && p && is_in_pool(p));
	for (int round = 1; round <= 10; round++) {
		memset(p, round, PAGES * PAGE);
		MUST(mprotect(p + PAGE, 3 * PAGE, PROT_NONE) == 0);
		MUST(checkpoint(5000) == 0);
		usleep(20000);
		MUST(checkpoint(5000) == 0);
		MUST(mprotect(p + PAGE, 3 * PAGE, PROT_READ | PROT_WRITE) == 0);
		for (int i = 0; i < PAGES * PAGE; i++)
			MUST(p[i] == round);
	}
	MUST(mprotect(p + 1, PAGE, PROT_NONE) == -1 && errno == EINVAL);
	free(p);
}
