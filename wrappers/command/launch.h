/* What `run` and `env` share: where our library is, and the environment that loads it. */
#pragma once

#include <limits.h>

#include "config.h"
#include "say.h"

/* launch_find_library() - libheapsake.so of this very installation or build tree; 0 or
 * STATUS_LAUNCH. The path can stand in LD_PRELOAD as it is. */
int launch_find_library(char ret_path[PATH_MAX], struct refusal *ret_why);

/* launch_set_preload() - put our library before whatever LD_PRELOAD names already */
int launch_set_preload(struct refusal *ret_why);

/* launch_quote_pool() - a path as HEAPSAKE_POOL takes it, where % is special; 0 or
 * -ENAMETOOLONG */
int launch_quote_pool(const char *path, char ret_value[CONFIG_PATH_MAX]);

/* launch_exec() - as execvpe(3): what has no format is a script for the shell. Returns an errno.
 * launch_say_not_started() - and the status env(1) would give */
int launch_exec(const char *path, char **argv, char **envp);
int launch_say_not_started(const char *name, int error);
