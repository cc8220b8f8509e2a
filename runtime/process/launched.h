/*
 * Launched: what was started, so that it can be started again. Written once, before main.
 *
 * LEDGER_LAUNCHED: struct launched_record, then strings, each with its final 0: exe, cwd, argv...,
 * envp... (as exec gave it, ours included). Read by the keeper, too.
 */
#pragma once

#include <stdint.h>

#include "say.h"
#include "ledger.h"

struct launched_record {
	uint32_t argc;
	uint32_t envc;
	uint32_t pid;        /* of the main thread, in its own pid namespace */
	uint32_t init_pid;   /* reserved */
	uint64_t personality;
	uint64_t stack_limit; /* RLIMIT_STACK, soft: it decides where mappings begin */
	uint64_t vdso;        /* AT_SYSINFO_EHDR */
	uint64_t hwcap;       /* AT_HWCAP, AT_HWCAP2 */
	uint64_t hwcap2;
	uint64_t clock_ns;    /* CLOCK_MONOTONIC and BOOTTIME when anything changed last */
	uint64_t boot_ns;
	uint64_t exe_dev, exe_ino, exe_size, exe_mtime_ns;
	uint32_t uid, euid, gid, egid;
};
