/* Children: recorded with an image, and stubs that die at once at a resume. */
#pragma once

#include "line.h"
#include "ledger.h"

void children_save(struct ledger_writer *writer);
int children_make(const struct ledger_reader *ledger, struct line *why);
