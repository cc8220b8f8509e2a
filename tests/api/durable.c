/*
 * DESIGN 1.3: HSK_TX_DURABLE is durable when the block is left, and makes a nest durable wherever in
 * it it stands; HSK_TX is durable with the next epoch, and no earlier. hsk_status() says so.
 *
 * with: HEAPSAKE_INTERVAL=0
 * run: plain => signal SIGKILL
 * run: durable => signal SIGKILL
 * run: inner => signal SIGKILL
 * run: look
 * inert: without
 */
#include "step.h"

HSK_KEEP static int plain, durable, inner;

int main(int argc, char **argv)
{
	step_begin(argc, argv);
	if (step_is("plain")) {
		MUST(hsk_status() == 0 && hsk_checkpoint(-1) == 0);
		HSK_TX { plain = 1; }
		step_kill();
	} else if (step_is("durable")) {
		MUST(plain == 0);
		HSK_TX { plain = 2; }
		HSK_TX_DURABLE { durable = 1; }
		MUST(hsk_status() == 0);
		step_kill();
	} else if (step_is("inner")) {
		MUST(plain == 2 && durable == 1);
		HSK_TX {
			HSK_TX_DURABLE { inner = 1; }
			inner = 2;
		}
		MUST(hsk_status() == 0);
		step_kill();
	} else if (step_is("look")) {
		MUST(inner == 2);
	} else {
		MUST(hsk_status() == -ENODEV);
		HSK_TX_DURABLE { durable = 1; }
		MUST(hsk_status() == -ENODEV);
	}
	return 0;
}
