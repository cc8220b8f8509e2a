/*
 * mprotect(2): memory that nobody may read, as the guard pages of a stack from malloc, is kept as
 * it was stored.
 *
 * with: HEAPSAKE_INTERVAL=5ms
 * with: HEAPSAKE_LOG=error
 * run: close => signal SIGKILL
 * run: look
 * inert: close
 */
#include "step.h"

#include <sys/mman.h>

#define PAGE ((size_t)4096)

int main(int argc, char **argv)
{
	step_begin(argc, argv);
	char *p = hsk_root("p");
	if (!p) {
		p = aligned_alloc(PAGE, 16 * PAGE);
		HSK_TX {
			hsk_set_root("p", p);
		}
		memset(p, 1, 16 * PAGE);
		hsk_checkpoint(-1);
		memset(p, 2, 16 * PAGE);
		MUST(mprotect(p + 5 * PAGE, 2 * PAGE, PROT_NONE) == 0);
		const int error = hsk_checkpoint(-1);
		usleep(30000);
		if (error == 0 && hsk_checkpoint(-1) == 0)
			step_kill();
		MUST(mprotect(p + 5 * PAGE, 2 * PAGE, PROT_READ | PROT_WRITE) == 0);
	}
	for (size_t at = 0; at < 16 * PAGE; at++)
		MUST(p[at] == 2);
}
