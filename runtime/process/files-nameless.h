/*
 * Nameless: files that were deleted, or never had a name, and live as long as they are open.
 */
#pragma once

#include "files-kind.h"

/* nameless_save() - LEDGER_CONTENTS: all that is in it, or a veto. nameless_make() - another such
 * file, as long, in the same directory if that can be: its descriptor, or -errno */
void nameless_save(const struct file_record *record, const char *path, uint64_t size,
		   struct ledger_writer *writer);
int nameless_make(const struct file_record *record, const char *path, uint64_t size,
		  const struct ledger_reader *state);
