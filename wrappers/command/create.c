/* `heapsake create`: an empty pool, without waiting for its first program. */
#include "command.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>

#include "config.h"
#include "pool.h"

#define OPTION_BASE 256

static bool create_parse_address(const char *text, uint64_t *ret_address)
{
	char *end;

	errno = 0;
	*ret_address = strtoull(text, &end, 0);
	return *text >= '0' && *text <= '9' && !*end && !errno && *ret_address != 0;
}

static bool create_read_options(int argc, char **argv, struct pool_plan *plan, int *ret_status)
{
	static const struct option longs[] = {{"base", required_argument, NULL, OPTION_BASE},
					      {0}};
	int option;

	while ((option = usage_next_option(argc, argv, "s:", longs, ret_status)) != -1) {
		if (option == 's' && config_parse_size(optarg, &plan->size_bytes) == 0 &&
		    plan->size_bytes)
			continue;
		if (option == OPTION_BASE && create_parse_address(optarg, &plan->base))
			continue;
		if (option == 's')
			*ret_status = usage_refuse(
				argv[0], "-s: '%.128s' is not digits and K, M, G or T", optarg);
		else if (option == OPTION_BASE)
			*ret_status = usage_refuse(
				argv[0], "--base: '%.128s' is no address like 0x200000000000",
				optarg);
		return false;
	}
	return true;
}

int create_main(int argc, char **argv)
{
	struct pool_plan plan = {0};
	struct refusal why;
	int status;

	if (!create_read_options(argc, argv, &plan, &status))
		return status;
	if (!plan.size_bytes)
		return usage_refuse(argv[0], "no -s SIZE given");
	const char *path = usage_one_operand(argc, argv, "POOL");
	if (!path)
		return STATUS_USAGE;
	return pool_create(path, &plan, &why) == 0 ? STATUS_OK : text_say_refusal(&why);
}
