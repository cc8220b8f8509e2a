/* What a pool remembers of the program it keeps: how it was started, and whether it has ended. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "process/launched.h"
#include "process/ledger.h"
#include "say.h"

enum past_kind {
	PAST_NONE,    /* nothing was kept yet */
	PAST_RUNNING, /* it was running, and can be resumed */
	PAST_ENDED,
};

struct past {
	enum past_kind kind;
	uint64_t epoch;
	int32_t end_status; /* PAST_ENDED: for exit */
	struct launched_record launched;
	const char *exe, *cwd;
	char **argv, **envp;
	char *state; /* what the strings above lie in */
};

/* past_read() - of a pool that nobody uses, or waits until the last owner is gone. epoch: 0 the
 * newest, else as --epoch. The pool need not be there. 0 or a status with *ret_why */
int past_read(struct past *ret_past, const char *path, int64_t epoch, struct refusal *ret_why);

/* past_read_image() - of the selected epoch of an image; past_check() - can it be read? */
struct image;
int past_read_image(struct past *past, struct image *image, struct refusal *ret_why);
int past_check(struct image *image, struct refusal *ret_why);

/* past_forget() - give back what it holds */
void past_forget(struct past *past);

/* past_parse() - the same from the bytes of an epoch's state; false: they make no sense */
bool past_parse(struct past *ret_past, struct ledger_reader state);

/* past_variable() - the value of a variable of its environment; NULL: it has none */
const char *past_variable(const struct past *past, const char *name);
