/*
 * Launched: what was started, so that it can be started again. Written once, before main.
 *
 * LEDGER_LAUNCHED: struct launched_record, then strings, each with its final 0: exe, cwd, argv...,
 * envp... (as exec gave it, ours included). Read by the keeper, too.
 */
#pragma once

#include <stdint.h>

#include "keeper.h"
#include "say.h"
#include "ledger.h"

struct launched_record {
	uint32_t argc;
	uint32_t envc;
	uint32_t pid;        /* of the main thread, in its own pid namespace */
	uint32_t uid, euid;
	uint32_t reserved;   /* 0 */
	uint64_t stack_limit; /* RLIMIT_STACK, soft: it decides where mappings begin */
	uint64_t vdso;        /* AT_SYSINFO_EHDR */
	uint64_t hwcap;       /* AT_HWCAP, AT_HWCAP2 */
	uint64_t hwcap2;
	uint64_t clock_ns;    /* CLOCK_MONOTONIC and BOOTTIME when anything changed last */
	uint64_t boot_ns;
	uint64_t exe_ino, exe_size;
	uint64_t command_hash;               /* of the note: what `run` was given */
	char command[KEEPER_COMMAND_BYTES];
};

#define LAUNCHED_MAX_BYTES LEDGER_RECORD_MAX

/* launched_open() - in the constructor, with libc. 0; -E2BIG: arguments and environment are too
 * long; -errno */
int launched_open(const struct keeper_note *note, int argc, char *const *argv, char *const *envp);
/* launched_load() - the record of a ledger, believed after a look; NULL: there is none.
 * launched_keep() - from now on it is what launched_save() saves: it was launched in another
 * life */
const struct launched_record *launched_load(const struct ledger_reader *ledger);
int launched_keep(const struct ledger_reader *ledger);
/* launched_save() - returns the saved record; launched_set_clock(): it, too, gets a new time */
struct launched_record *launched_save(struct ledger_writer *writer);
void launched_set_clock(struct launched_record *saved, uint64_t monotonic_ns, uint64_t boot_ns);
