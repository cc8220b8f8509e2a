/*
 * DESIGN 2.1: while the state is OK little is at risk. A program that stays in a block holds epochs
 * off: after a second it is VETOED, and OK again when the block has been left.
 *
 * with: HEAPSAKE_INTERVAL=10ms
 * run: run
 * says: heapsake: .*: no epoch can be taken: thread \d+ \(.*\) stays in its HSK_TX
 * inert: run
 */
#include <unistd.h>

#include "step.h"

HSK_KEEP static volatile int count;

static void wait_for_state(uint32_t state)
{
	struct hsk_info info = {.size = sizeof(info)};

	for (int tries = 0; tries < 30000; tries++) {
		count++;
		MUST(hsk_info(&info) == 0);
		if (info.state == state)
			return;
		usleep(1000);
	}
	MUST(!"the state came");
}

int main(int argc, char **argv)
{
	struct hsk_info info = {.size = sizeof(info)};

	step_begin(argc, argv);
	MUST(hsk_info(&info) == 0);
	if (info.state == HSK_STATE_NONE)
		return 0;
	HSK_TX { wait_for_state(HSK_STATE_VETOED); }
	wait_for_state(HSK_STATE_OK);
	return 0;
}
