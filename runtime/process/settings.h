/*
 * Settings: what else the kernel knows of a process: signal dispositions and pending signals
 * (signals.c), interval and POSIX timers (timers.c), working directory, umask, limits, name,
 * controlling terminal, brk, ... (settings.c)
 *
 * save: on the committer's thread, all others stand. make: at a resume, no libc. check: nothing is
 * changed yet: 0, or a status and why. make: 0, or -errno and why.
 */
#pragma once

#include "line.h"
#include "say.h"
#include "ledger.h"

void settings_save(struct ledger_writer *writer);
int settings_check(const struct ledger_reader *state, struct refusal *ret_why);
int settings_make(const struct ledger_reader *state, struct line *why);

void signals_save(struct ledger_writer *writer);
int signals_make(const struct ledger_reader *state, struct line *why);

void timers_save(struct ledger_writer *writer);
int timers_make(const struct ledger_reader *state, struct line *why);
