/* Children: recorded with an image, and stubs in their places that die at once at a resume. */
#pragma once

#include <stdbool.h>

#include "line.h"
#include "ledger.h"

/* Those the calling process has, with exact numbers for a resume or not (then: a veto). */
void children_save(struct ledger_writer *writer, bool has_exact_tids);
int children_make(const struct ledger_reader *ledger, bool has_exact_tids, struct line *why);
/* children_find_living() - one of the main thread's that has not ended; 0: there is none */
int children_find_living(void);
