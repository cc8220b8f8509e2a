/*
 * DESIGN 2.7, 1.3: a forked child keeps a private view: hsk_checkpoint() is -ENODEV there, and what
 * it stores never comes back. The parent goes on.
 *
 * with: HEAPSAKE_INTERVAL=0
 * run: fork => signal SIGKILL
 * run: look
 * inert: fork
 */
#include "step.h"

HSK_KEEP static int value;

static void be_child(void)
{
	struct hsk_info info = {.size = sizeof(info)};

	value = 100;
	HSK_TX_DURABLE { value = 101; }
	MUST(hsk_status() == -ENODEV && hsk_checkpoint(-1) == -ENODEV);
	MUST(hsk_info(&info) == 0 && info.state == HSK_STATE_NONE);
	exit(value == 101 ? 3 : 1);
}

int main(int argc, char **argv)
{
	step_begin(argc, argv);
	if (step_is("look")) {
		MUST(value == 2);
		return 0;
	}
	value = 1;
	const int before = hsk_checkpoint(-1);
	const pid_t child = fork();
	if (child == 0)
		be_child();
	MUST(child_status(child) == 3);
	value++;
	MUST(hsk_checkpoint(-1) == before && value == 2);
	if (before == 0)
		step_kill();
	return 0;
}
