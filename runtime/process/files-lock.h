/*
 * Locks on files: what the descriptors of a process hold locked.
 */
#pragma once

#include "files-kind.h"

/* locks_open() - in the constructor: were any descriptors locked that we were given? */
void locks_open(void);
void locks_save(const struct file_record *record, struct ledger_writer *writer);
/* locks_make() - all descriptors are there. -EAGAIN: another process has it locked now */
int locks_make(const struct file_record *record, const struct ledger_reader *state);
