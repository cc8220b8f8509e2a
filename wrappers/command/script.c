/*
 * The problem: of "#!/usr/bin/env python3" the first process to run is env. It would get the
 * pool, use it for nothing, and exec a python3 that knows nothing of it, as all that a program
 * starts runs without heapsake. The trick: do what env does, find PROG and put it in front of
 * the script, before the one exec. The guarantee: PROG gets the pool, and sees the arguments
 * env would give it.
 */
#include "script.h"

#include <stdlib.h>
#include <string.h>

/* "-S" splits at blanks; quotes, escapes, options and assignments mean more, and are left to
 * env. */
static bool script_is_plain(const char *words)
{
	return words[0] && !strpbrk(words, "\"'\\$#=") && words[0] != '-';
}

/* The words behind `env`, at most the argument's blanks plus one; NULL: not plain. */
static char *script_words(const char *argument)
{
	const char *words = argument;

	if (!strncmp(argument, "-S", 2))
		words = argument + 2 + strspn(argument + 2, " \t");
	return script_is_plain(words) ? strdup(words) : NULL;
}

static unsigned script_count(char *const *argv)
{
	unsigned count = 0;

	while (argv[count])
		count++;
	return count;
}

/* words + script + what followed the script's name */
static char **script_join(char *words, const char *script, char **argv)
{
	char **joined = calloc(strlen(words) + script_count(argv) + 2, sizeof(char *));
	unsigned count = 0;
	char *rest = NULL;

	if (!joined)
		return NULL;
	for (char *word = strtok_r(words, " \t", &rest); word;
	     word = strtok_r(NULL, " \t", &rest))
		joined[count++] = word;
	joined[count++] = strdup(script);
	memcpy(joined + count, argv + 1,
	       script_count(argv) * sizeof(char *)); /* the NULL as well */
	return joined;
}

static int script_skip_one(struct script_command *command, const struct program *program,
			   struct refusal *ret_why)
{
	bool has_split = !strncmp(program->argument, "-S", 2);
	char next[PATH_MAX];

	/* Without -S env takes it all for one name, and says so itself. */
	if (!has_split && strpbrk(program->argument, " \t"))
		return 0;
	char *words = script_words(program->argument);
	if (!words)
		return refuse(
			ret_why, STATUS_INCOMPATIBLE, command->path,
			"its first line has env do more than start a program: \"%s\"; run the "
			"script's interpreter by name",
			program->argument);
	char **joined = script_join(words, command->path, command->argv);
	if (!joined)
		return refuse(ret_why, STATUS_LAUNCH, command->path,
			      "out of memory; try again");
	if (program_find(joined[0], next) != 0) /* env says so itself */
		return 0;
	memcpy(command->path, next, sizeof(next));
	command->argv = joined;
	return 0;
}

int script_skip_env(struct script_command *command, struct refusal *ret_why)
{
	struct program *program = malloc(sizeof(*program));
	int status = 0;

	if (!program)
		return refuse(ret_why, STATUS_LAUNCH, command->path,
			      "out of memory; try again");
	for (int depth = 0; !status && depth < PROGRAM_DEPTH_MAX; depth++) {
		if (program_read(program, command->path) < 0 || !program_is_env_script(program))
			break;
		status = script_skip_one(command, program, ret_why);
	}
	free(program);
	return status;
}
