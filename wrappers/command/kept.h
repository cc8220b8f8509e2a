/* `heapsake run -k process`: fresh, or the resume of what the pool holds. */
#pragma once

#include "config.h"
#include "say.h"
#include "script.h"

/* kept_run() - start the command under a keeper and stay until it ends: the status for exit, or
 * -1 with *ret_why. words: the command line as it was given. */
int kept_run(const struct config *config, const struct script_command *command, char **words,
	     struct refusal *ret_why);

/* kept_await_last() - until nobody of this pool's last life is left; await.c */
void kept_await_last(const char *path);

/* kept_resume() - the same for what config's pool holds, whatever its command line was */
int kept_resume(const struct config *config, struct refusal *ret_why);
