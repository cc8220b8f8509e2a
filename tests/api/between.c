/*
 * DESIGN 2.1: epochs come by themselves at each interval, however many were asked for in between;
 * each of those put the next one off by an interval more, so that after a burst of them none came
 * for minutes.
 *
 * with: HEAPSAKE_INTERVAL=200ms
 * run: first
 * inert: first
 */
#include "step.h"

#include <unistd.h>

#define BURST 1000 /* 200 s of them, put off */
#define PATIENCE_S 40

HSK_KEEP static int value;

int main(int argc, char **argv)
{
	step_begin(argc, argv);
	if (hsk_checkpoint(-1) == -ENODEV)
		return 0;
	for (int i = 0; i < BURST; i++) {
		value++;
		MUST(hsk_checkpoint(-1) == 0);
	}
	const uint64_t newest = hsk_epoch();
	value++;
	alarm(PATIENCE_S);
	while (hsk_epoch() == newest)
		usleep(1000);
	return 0;
}
