/*
 * For the time being nobody is stopped: an epoch is right only if the program does nothing while
 * it is cut, as in a single-threaded program's call of hsk_checkpoint() with interval 0.
 */
#include "cut.h"

void cut_park(void)
{
}

void cut_unpark(void)
{
}

int cut_stop(uint64_t interval_ns, struct cut_report *ret_report)
{
	*ret_report = (struct cut_report){0};
	return 0;
}

void cut_release(struct cut_report *report)
{
}

static _Thread_local unsigned tx_depth;

void cut_tx_enter(void)
{
	tx_depth++;
}

void cut_tx_leave(void)
{
	tx_depth--;
}

unsigned cut_tx_depth(void)
{
	return tx_depth;
}
