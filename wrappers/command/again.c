/*
 * `heapsake resume`: as `run -k process`, but the command line is the pool's.
 */
#include "command.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "kept.h"
#include "launch.h"

#define OPTION_EPOCH 256

/* Options may stand behind the pool, too: there is no program whose they could be. */
static bool resume_read_options(int argc, char **argv, struct config *config, const char **ret_pool,
				int *ret_status)
{
	static const struct option longs[] = {{"epoch", required_argument, NULL, OPTION_EPOCH}, {0}};
	int option;

	for (;;) {
		while ((option = usage_next_option(argc, argv, "q", longs, ret_status)) != -1) {
			if (option == USAGE_ANSWERED)
				return false;
			if (option == 'q') {
				config->is_quiet = true;
			} else if (config_parse_epoch(optarg, &config->epoch) == 0) {
				config->has_epoch = true;
			} else {
				*ret_status = usage_refuse(argv[0], "--epoch: \"%.128s\" is not accepted; "
							   "give %s", optarg, CONFIG_EPOCH_ACCEPTED);
				return false;
			}
		}
		if (optind == argc)
			return true;
		if (*ret_pool) {
			*ret_status = usage_refuse(argv[0], "one POOL is taken, several are given");
			return false;
		}
		*ret_pool = argv[optind++];
	}
}

int resume_main(int argc, char **argv)
{
	static struct config config;
	struct refusal why;
	const char *pool = NULL;
	int status = config_from_environment(&config, environ, &why);

	if (status) {
		say_refusal(&why);
		return status;
	}
	if (!resume_read_options(argc, argv, &config, &pool, &status))
		return status;
	if (!pool || !*pool)
		return usage_refuse(argv[0], "no POOL given");
	if (strlen(pool) >= sizeof(config.pool_path))
		return usage_refuse(argv[0], "the path of POOL is too long");
	strcpy(config.pool_path, pool);
	config.is_new = false;
	say_set_level(config.log);
	status = kept_resume(&config, &why);
	if (status >= 0)
		return status;
	say_refusal(&why);
	return (int)why.status;
}
