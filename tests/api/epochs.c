/*
 * DESIGN 1.3: hsk_checkpoint() makes everything stored so far durable; hsk_epoch() never goes back,
 * not over restarts either; hsk_resumed() tells the first run from the next ones.
 *
 * with: HEAPSAKE_INTERVAL=0
 * run: first => signal SIGKILL
 * run: later => signal SIGKILL
 * run: later => signal SIGKILL
 * run: new
 * inert: first
 */
#include "step.h"

HSK_KEEP static uint64_t newest;

int main(int argc, char **argv)
{
	step_begin(argc, argv);
	MUST(hsk_resumed() == !step_is("first"));
	if (hsk_checkpoint(-1) == -ENODEV) {
		MUST(hsk_epoch() == 0 && hsk_checkpoint(0) == -ENODEV && hsk_resumed() == 0);
		return 0;
	}
	for (int i = 0; i < 10; i++) {
		MUST(hsk_epoch() >= newest);
		const uint64_t before = hsk_epoch();
		newest = before;
		MUST(hsk_checkpoint(10000) == 0);
		MUST(hsk_epoch() == before + (i > 0 || before > 0 || newest != 0));
	}
	const uint64_t before = hsk_epoch();
	MUST(hsk_checkpoint(-1) == 0 && hsk_epoch() == before); /* nothing new: none is made */
	if (!step_is("new"))
		step_kill();
	return 0;
}
