/*
 * Locks on files: what the descriptors of a process hold locked.
 */
#pragma once

#include "files-kind.h"

/* locks_look() - in the pause, before locks_save() of any: which files are locked at all */
void locks_look(void);
void locks_save(const struct file_record *record, struct ledger_writer *writer);
/* locks_make() - all descriptors are there. -EAGAIN: another process has it locked now */
int locks_make(const struct file_record *record, const struct ledger_reader *state);
