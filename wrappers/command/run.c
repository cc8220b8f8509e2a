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
#include <unistd.h>

#include "config.h"
#include "launch.h"
#include "program.h"
#include "script.h"

#define STATUS_NOT_EXECUTABLE 126
#define STATUS_NOT_FOUND 127
#define OPTION_NEW 256

static int run_refuse(const struct refusal *why)
{
	say_refusal(why);
	return (int)why->status;
}

static int run_set_size(const char *value)
{
	struct refusal why;
	uint64_t bytes;

	if (config_parse_size(value, &bytes) != 0) {
		refuse(&why, STATUS_USAGE, "-s",
		       "\"%.128s\" is not a size; give digits and K, M, G or T", value);
		return run_refuse(&why);
	}
	setenv("HEAPSAKE_SIZE", value, 1);
	return 0;
}

static int run_set_keep(const char *value)
{
	struct refusal why;
	enum keep keep;

	if (config_parse_keep(value, &keep) != 0) {
		refuse(&why, STATUS_USAGE, "-k", "\"%.128s\" is no keep; use -k none", value);
		return run_refuse(&why);
	}
	setenv("HEAPSAKE_KEEP", value, 1);
	return 0;
}

/* True to go on; false: the verb ends with *ret_status. */
static bool run_read_options(int argc, char **argv, int *ret_status)
{
	static const struct option longs[] = {{"new", no_argument, NULL, OPTION_NEW}, {0}};
	int option;

	*ret_status = 0;
	while ((option = usage_next_option(argc, argv, "p:s:k:q", longs, ret_status)) != -1) {
		switch (option) {
		case 'p':
			setenv("HEAPSAKE_POOL", optarg, 1);
			break;
		case 's':
			*ret_status = run_set_size(optarg);
			break;
		case 'k':
			*ret_status = run_set_keep(optarg);
			break;
		case 'q':
			setenv("HEAPSAKE_QUIET", "1", 1);
			break;
		case OPTION_NEW:
			setenv("HEAPSAKE_NEW", "1", 1);
			break;
		default:
			return false;
		}
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

/* All that must be true before the program may start; 0 or a status with *ret_why. */
static int run_prepare(struct script_command *command, struct refusal *ret_why)
{
	static struct config config; /* a path's worth of bytes: not for the stack */
	const char *warning = NULL;
	int status = run_set_default_pool(command->argv[0], ret_why);

	if (!status)
		status = config_from_environment(&config, environ, ret_why);
	if (status || !config.is_active)
		return status;
	status = script_skip_env(command, ret_why);
	if (!status)
		status = program_check(command->path, &warning, ret_why);
	if (status)
		return status;
	if (warning && !config.is_quiet)
		say(SAY_WARN, command->path, "%s", warning);
	return launch_set_preload(ret_why);
}

/* As execvp(3): what has no format is a script for the shell. */
static void run_exec(const struct script_command *command)
{
	unsigned count = 0;

	execv(command->path, command->argv);
	if (errno != ENOEXEC)
		return;
	while (command->argv[count])
		count++;
	char **shell_argv = calloc(count + 2, sizeof(char *));
	if (!shell_argv)
		return;
	shell_argv[0] = command->argv[0];
	shell_argv[1] = (char *)command->path;
	memcpy(shell_argv + 2, command->argv + 1,
	       count * sizeof(char *)); /* the NULL as well */
	execv("/bin/sh", shell_argv);
	free(shell_argv);
}

static int run_say_not_started(const char *name, int error)
{
	say(SAY_ERROR, name, "cannot be started: %s", strerror(error));
	return error == ENOENT ? STATUS_NOT_FOUND : STATUS_NOT_EXECUTABLE;
}

int run_main(int argc, char **argv)
{
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
		return run_say_not_started(command.argv[0], -error);
	if (run_prepare(&command, &why) != 0)
		return run_refuse(&why);
	run_exec(&command);
	return run_say_not_started(argv[optind], errno);
}
