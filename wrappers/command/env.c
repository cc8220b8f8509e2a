/*
 * `heapsake env`: what `run` would set, as lines a POSIX shell may eval.
 *
 * Values stand in single quotes, where a shell interprets nothing; a single quote itself leaves
 * the quotes and comes back. LD_PRELOAD keeps what it holds when the lines are evaluated.
 */
#include "command.h"

#include <getopt.h>
#include <stdlib.h>
#include <unistd.h>

#include "config.h"
#include "launch.h"

static void env_print_quoted(const char *value)
{
	putchar('\'');
	for (; value && *value; value++)
		if (*value == '\'')
			fputs("'\\''", stdout);
		else
			putchar(*value);
	putchar('\'');
}

static void env_print(const char *name, const char *value)
{
	printf("export %s=", name);
	env_print_quoted(value);
	putchar('\n');
}

/* HEAPSAKE_POOL is to mean the same file after a cd. */
static int env_set_pool(const char *path, struct refusal *ret_why)
{
	char dir[PATH_MAX], quoted[CONFIG_PATH_MAX], value[2 * CONFIG_PATH_MAX];

	if (path[0] == '/' || !path[0]) {
		setenv("HEAPSAKE_POOL", path, 1);
		return 0;
	}
	if (!getcwd(dir, sizeof(dir)) || launch_quote_pool(dir, quoted) != 0)
		return refuse(
			ret_why, STATUS_FAILED, path,
			"the working directory has no usable name; give an absolute path");
	snprintf(value, sizeof(value), "%s/%s", quoted, path);
	setenv("HEAPSAKE_POOL", value, 1);
	return 0;
}

int env_main(int argc, char **argv)
{
	static const struct option longs[] = {{0}};
	static struct config config;
	char library[PATH_MAX];
	const char *pool = NULL;
	struct refusal why;
	int option, status = 0;

	while ((option = usage_next_option(argc, argv, "p:", longs, &status)) != -1) {
		if (option != 'p')
			return status;
		pool = optarg;
	}
	if (optind != argc)
		return usage_refuse(argv[0], "'%s' is not expected", argv[optind]);
	if (!pool)
		return usage_refuse(argv[0], "no -p POOL given");
	setenv("HEAPSAKE_KEEP", config_keep_name(KEEP_HEAP), 0);
	if (env_set_pool(pool, &why) != 0 ||
	    config_from_environment(&config, environ, &why) != 0 ||
	    launch_find_library(library, &why) != 0)
		return text_say_refusal(&why);
	env_print("HEAPSAKE_POOL", getenv("HEAPSAKE_POOL"));
	env_print("HEAPSAKE_KEEP", getenv("HEAPSAKE_KEEP"));
	printf("export LD_PRELOAD=");
	env_print_quoted(library);
	puts("\"${LD_PRELOAD:+:$LD_PRELOAD}\"");
	return STATUS_OK;
}
