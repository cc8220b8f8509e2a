/* Parts of the kernel's side that nobody has written yet: nothing of them is kept. Each goes from
 * here when its own file comes. */
#include "children.h"
#include "settings.h"

void settings_save(struct ledger_writer *writer)
{
}

int settings_check(const struct ledger_reader *state, struct refusal *ret_why)
{
	return 0;
}

int settings_make(const struct ledger_reader *state, struct line *why)
{
	return 0;
}

void signals_save(struct ledger_writer *writer)
{
}

int signals_make(const struct ledger_reader *state, struct line *why)
{
	return 0;
}

void timers_save(struct ledger_writer *writer)
{
}

int timers_make(const struct ledger_reader *state, struct line *why)
{
	return 0;
}

void children_save(struct ledger_writer *writer)
{
}

int children_make(const struct ledger_reader *ledger, struct line *why)
{
	return 0;
}
