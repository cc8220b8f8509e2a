/*
 * The problem: what is to be started is in the pool, but the pool's reader proper is in the program
 * that is to be started. The trick: the state of an epoch begins with how its program was started,
 * and the command reads it as it reads any epoch, with the engine's own verification.
 */
#include "past.h"

#include <stdlib.h>
#include <string.h>

#include "layout.h"

/* What launched_load() has counted, as a vector. */
static char **split(const char **at, uint32_t count)
{
	char **vector = calloc((size_t)count + 1, sizeof(*vector));

	for (uint32_t i = 0; vector && i < count; i++) {
		vector[i] = (char *)*at;
		*at += strlen(*at) + 1;
	}
	return vector;
}

bool past_parse(struct past *ret_past, struct ledger_reader state)
{
	struct past *past = ret_past;
	const struct launched_record *launched = launched_load(&state);
	size_t len;

	if (!launched)
		return false;
	past->launched = *launched;
	past->launched.command[KEEPER_COMMAND_BYTES - 1] = 0;
	const char *at = (const char *)(launched + 1);
	past->exe = at;
	at += strlen(at) + 1;
	past->cwd = at;
	at += strlen(at) + 1;
	past->argv = split(&at, launched->argc);
	past->envp = split(&at, launched->envc);
	past->kind = PAST_RUNNING;
	const int32_t *status = ledger_next(&state, LEDGER_ENDED, &len);
	if (status && len >= sizeof(*status)) {
		past->kind = PAST_ENDED;
		past->end_status = *status;
	}
	return past->argv && past->envp;
}

void past_forget(struct past *past)
{
	free(past->argv);
	free(past->envp);
	free(past->state);
	*past = (struct past){.kind = PAST_NONE};
}

const char *past_variable(const struct past *past, const char *name)
{
	const size_t len = strlen(name);

	for (char **entry = past->envp; *entry; entry++)
		if (!strncmp(*entry, name, len) && (*entry)[len] == '=')
			return *entry + len + 1;
	return NULL;
}
