/*
 * `heapsake run`: set the environment, make sure the library will get in, become the program.
 *
 * Every flag is a variable and the library reads only variables, so the same refusals come from
 * the same code whether a program is started by `run` or with LD_PRELOAD by hand; what is
 * checked here is what the library cannot check because it would never be loaded. The program
 * is exec()ed in place: its pid, signals and status are its own.
 */
#include "command.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <unistd.h>

#include "config.h"
#include "kept.h"
#include "launch.h"
#include "program.h"
#include "script.h"

#define OPTION_NEW 256
#define OPTION_EPOCH 257

static int run_refuse(const struct refusal *why)
{
	say_refusal(why);
	return (int)why->status;
}

/* Each flag is a variable; a value is looked at here only to name the flag that is wrong. */
struct run_option {
	int option;
	const char *flag;
	const char *variable;
	bool (*is_valid)(const char *value); /* NULL: the flag has no value, the variable is 1 */
	const char *accepted;
};

static bool is_path(const char *value)
{
	(void)value; /* the library judges it, with the rest of HEAPSAKE_POOL's rules */
	return true;
}

static bool is_size(const char *value)
{
	uint64_t bytes;

	return config_parse_size(value, &bytes) == 0;
}

static bool is_keep(const char *value)
{
	enum keep keep;

	return config_parse_keep(value, &keep) == 0;
}

static bool is_interval(const char *value)
{
	uint64_t ns;

	return config_parse_interval(value, &ns) == 0;
}

static bool is_durability(const char *value)
{
	enum durability durability;

	return config_parse_durability(value, &durability) == 0;
}

static bool is_epoch(const char *value)
{
	int64_t epoch;

	return config_parse_epoch(value, &epoch) == 0;
}

static const struct run_option run_options[] = {
	{'p', "-p", "HEAPSAKE_POOL", is_path, ""},
	{'s', "-s", "HEAPSAKE_SIZE", is_size, "digits and K, M, G or T"},
	{'k', "-k", "HEAPSAKE_KEEP", is_keep, "none, heap or process"},
	{'i', "-i", "HEAPSAKE_INTERVAL", is_interval, CONFIG_INTERVAL_ACCEPTED},
	{'d', "-d", "HEAPSAKE_DURABILITY", is_durability, "media or cache"},
	{'q', "-q", "HEAPSAKE_QUIET", NULL, ""},
	{OPTION_NEW, "--new", "HEAPSAKE_NEW", NULL, ""},
	{OPTION_EPOCH, "--epoch", "HEAPSAKE_EPOCH", is_epoch, CONFIG_EPOCH_ACCEPTED},
};
#define RUN_OPTION_COUNT (sizeof(run_options) / sizeof(run_options[0]))

static int run_set_option(const struct run_option *option, const char *value)
{
	struct refusal why;

	if (option->is_valid && !option->is_valid(value)) {
		refuse(&why, STATUS_USAGE, option->flag, "\"%.128s\" is not accepted; give %s",
		       value, option->accepted);
		return run_refuse(&why);
	}
	setenv(option->variable, option->is_valid ? value : "1", 1);
	return 0;
}

/* True to go on; false: the verb ends with *ret_status. */
static bool run_read_options(int argc, char **argv, int *ret_status)
{
	static const struct option longs[] = {{"new", no_argument, NULL, OPTION_NEW},
					      {"epoch", required_argument, NULL, OPTION_EPOCH},
					      {0}};
	int option;

	*ret_status = 0;
	while ((option = usage_next_option(argc, argv, "p:s:k:i:d:q", longs, ret_status)) != -1) {
		if (option == USAGE_ANSWERED)
			return false;
		for (size_t i = 0; i < RUN_OPTION_COUNT; i++)
			if (run_options[i].option == option)
				*ret_status = run_set_option(&run_options[i], optarg);
		if (*ret_status)
			return false;
	}
	return true;
}

/* Without -p and HEAPSAKE_POOL: ./PROG.heapsake */
static int run_set_default_pool(const char *name, struct refusal *ret_why)
{
	const char *slash = strrchr(name, '/');
	char quoted[CONFIG_PATH_MAX], value[CONFIG_PATH_MAX + 16];

	if (getenv("HEAPSAKE_POOL"))
		return 0;
	if (launch_quote_pool(slash ? slash + 1 : name, quoted) != 0)
		return refuse(ret_why, STATUS_USAGE, "PROG",
			      "its name is too long for a pool's; use -p");
	snprintf(value, sizeof(value), "%s.heapsake", quoted);
	setenv("HEAPSAKE_POOL", value, 1);
	return 0;
}

/* Nobody has chosen: a program that is linked with us was written for keep=heap, all others know
 * nothing of us. */
static void run_choose_keep(struct config *config, const struct program_traits *traits)
{
	if (config->keep != KEEP_UNSET)
		return;
	config->keep = traits->is_linked ? KEEP_HEAP : KEEP_PROCESS;
	setenv("HEAPSAKE_KEEP", config_keep_name(config->keep), 1);
}

/* What the heap holds of code addresses (function pointers, vtables) is right again when modules
 * lie where they did. exec looks at this; the program keeps it. */
static void run_fix_addresses(void)
{
	int persona = personality(0xffffffff);

	if (persona < 0 || personality((unsigned long)persona | ADDR_NO_RANDOMIZE) < 0 ||
	    !(personality(0xffffffff) & ADDR_NO_RANDOMIZE))
		say(SAY_DEBUG, "personality",
		    "address randomisation cannot be switched off; code addresses in the heap "
		    "do not stay valid");
}

/* All that must be true before the program may start; 0 or a status with *ret_why. */
static int run_prepare(struct config *config, struct script_command *command,
		       struct refusal *ret_why)
{
	struct program_traits traits;
	int status = run_set_default_pool(command->argv[0], ret_why);

	if (!status)
		status = config_from_environment(config, environ, ret_why);
	if (status || !config->is_active)
		return status;
	say_set_level(config->log);
	status = script_skip_env(command, ret_why);
	if (!status)
		status = program_check(command->path, &traits, ret_why);
	if (status)
		return status;
	run_choose_keep(config, &traits);
	if (config->keep == KEEP_PROCESS && traits.unkept)
		return refuse(ret_why, STATUS_INCOMPATIBLE, command->path,
			      "%s, so it cannot be kept whole; use -k none", traits.unkept);
	if (traits.warning && !config->is_quiet)
		say(SAY_WARN, command->path, "%s", traits.warning);
	if (config->keep == KEEP_HEAP)
		run_fix_addresses();
	return launch_set_preload(ret_why);
}

int run_main(int argc, char **argv)
{
	static struct config config; /* a path's worth of bytes: not for the stack */
	struct script_command command;
	struct refusal why;
	int status;

	if (!run_read_options(argc, argv, &status))
		return status;
	if (optind == argc)
		return usage_refuse(argv[0], "no PROG given");
	command.argv = argv + optind;
	int error = program_find(command.argv[0], command.path);
	if (error)
		return launch_say_not_started(command.argv[0], -error);
	if (run_prepare(&config, &command, &why) != 0)
		return run_refuse(&why);
	if (config.is_active && config.keep == KEEP_PROCESS) {
		status = kept_run(&config, &command, argv + optind, &why);
		return status < 0 ? run_refuse(&why) : status;
	}
	return launch_say_not_started(argv[optind],
				      launch_exec(command.path, command.argv, environ));
}
