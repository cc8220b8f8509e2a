/*
 * DESIGN 1.3, 2.9: HSK_KEEP globals have their initial value in the first run, and what they had in
 * the last epoch in the next, after static constructors and before the first statement of main.
 *
 * with: HEAPSAKE_INTERVAL=0
 * run: first => signal SIGKILL
 * run: second => signal SIGKILL
 * run: third
 * inert: first
 */
#include "step.h"

HSK_KEEP static int number = 5;
HSK_KEEP static double zero;
HSK_KEEP static char large[3 * 4096 + 17] = "initial";
HSK_KEEP static char last_byte = 'x';
HSK_KEEP int visible = 6;
static int beside = 7;

__attribute__((constructor)) static void spoil(void)
{
	number = -1;
	beside = 8;
}

static void first(void)
{
	HSK_KEEP static long local = 3;

	MUST(number == -1 && zero == 0 && visible == 6 && local == 3);
	MUST(strcmp(large, "initial") == 0 && last_byte == 'x');
	number = 50;
	zero = 0.5;
	visible = 60;
	local = 30;
	last_byte = 'y';
	fill(large, sizeof(large), 1);
	beside = 70;
}

static void second(void)
{
	MUST(number == 50 && zero == 0.5 && visible == 60 && last_byte == 'y');
	MUST(is_filled(large, sizeof(large), 1));
	MUST(beside == 8);
	fill(large, sizeof(large), 2);
}

int main(int argc, char **argv)
{
	step_begin(argc, argv);
	if (step_is("first"))
		first();
	else if (step_is("second"))
		second();
	else
		MUST(number == 50 && is_filled(large, sizeof(large), 2));
	if (hsk_checkpoint(-1) == 0 && !step_is("third"))
		step_kill();
	return 0;
}
