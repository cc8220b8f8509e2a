/*
 * Settings: what else the kernel knows of a process: signal dispositions and pending signals
 * (signals.c), interval and POSIX timers (timers.c), working directory, umask, limits, name,
 * controlling terminal, brk, ... (settings.c)
 *
 * settings_prepare(): while threads run, before each cut: what costs a file to read.
 * save: on the committer's thread, all others stand. make: at a resume, no libc (settings_make()
 * first, before any mapping is made: brk). check: nothing is changed yet: 0, or a status and why.
 * make: 0, or -errno and why.
 */
#pragma once

#include <stdbool.h>

#include "line.h"
#include "say.h"
#include "ledger.h"

/* What was read before the cut. Room-private. */
struct settings_before {
	uint64_t brk_start;
	int32_t oom_score_adj;
	uint32_t core_filter; /* what is dumped; NOT_KNOWN: the kernel dumps nothing */
	uint32_t is_foreground;
	const char *unkept;   /* a constant text; NULL: nothing */
};
#define SETTINGS_NOT_KNOWN UINT32_MAX
extern struct settings_before settings_before;
uint64_t settings_brk_start(void); /* of this process, now */

void settings_prepare(void);
/* settings_allow_stop() - false: signals are not to be sent (a filter of system calls would kill
 * whoever handles one), and why */
bool settings_allow_stop(char why[192]);
bool settings_have_filter(void); /* it may be death to ask the kernel for anything */
void settings_save(struct ledger_writer *writer);
int settings_check(const struct ledger_reader *state, struct refusal *ret_why);
int settings_make(const struct ledger_reader *state, struct line *why);
/* settings_limit() - what it may have of everything; when all is made, ours too */
void settings_limit(const struct ledger_reader *state);

/* settings_groups() - its supplementary groups, and how many */
const uint32_t *settings_groups(const struct ledger_reader *state, unsigned *ret_count);

void signals_save(struct ledger_writer *writer);
/* signals_have_come() - others wait for the process than when signals_save() looked */
bool signals_have_come(void);
/* signals_deadly() - which of these signals end the process as soon as nobody blocks them */
uint64_t signals_deadly(uint64_t waiting);
int signals_make(const struct ledger_reader *state, struct line *why);

/* after signals_save(): a timer that expires between the two is found */
void timers_save(struct ledger_writer *writer);
/* when all threads are there: signals of timers may be for one */
int timers_make(const struct ledger_reader *state, struct line *why);
