/*
 * Semaphores that the kernel gives back when a process ends (SEM_UNDO): a veto while there are any.
 */
#pragma once

#include "ledger.h"

void sem_undo_save(struct ledger_writer *writer);
