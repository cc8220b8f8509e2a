/* The plugin of plugged.c. */
#include "storm.h"

HSK_KEEP static uint64_t table[3000]; /* several pages, and not a whole number of them */
HSK_KEEP static uint64_t steps;
HSK_KEEP static char *text;

HSK_API uint64_t plugin_step(char *of_host);
HSK_API uint64_t plugin_steps(const char *of_host);

HSK_API uint64_t plugin_step(char *of_host)
{
	text = of_host;
	table[steps % 3000]++;
	return ++steps;
}

HSK_API uint64_t plugin_steps(const char *of_host)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < 3000; i++) {
		MUST(table[i] == steps / 3000 + (i < steps % 3000));
		sum += table[i];
	}
	MUST(sum == steps && text == of_host);
	return steps;
}
