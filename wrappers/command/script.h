/* Scripts that begin with "#!/usr/bin/env PROG". */
#pragma once

#include <limits.h>

#include "program.h"

/* What to execute instead of a file named on the command line. */
struct script_command {
	char path[PATH_MAX];
	char **argv;
};

/* script_skip_env() - turn a script for `env PROG` into what env would execute in the end: PROG
 * with the script as its argument. Anything else is left as it is. 0, or STATUS_INCOMPATIBLE
 * for a line only env itself can read. argv is replaced, never freed: exec follows. */
int script_skip_env(struct script_command *command, struct refusal *ret_why);
