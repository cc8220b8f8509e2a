/*
 * The keeper's note to the library in the program it starts: in a memfd whose number is the value
 * of
 * HEAPSAKE_KEEPER, so that environment and arguments are the same in every life. Written by
 * `heapsake run` (wrappers/command/keeper.c), read and closed by our constructor.
 */
#pragma once

#include <stdint.h>

#define KEEPER_MAGIC UINT64_C(0x3172656b65657068) /* "hpeeker1" */

enum keeper_mode { KEEPER_FRESH = 1, KEEPER_RESUME = 2 };

struct keeper_note {
	uint64_t magic;
	uint32_t mode;
	uint32_t has_exact_tids; /* an own pid namespace, or the right to choose in this one */
	int64_t epoch;           /* to resume: 0 the newest, else as --epoch */
	int32_t keeper_pid;      /* as the outside sees it: what info and pidfiles show */
	uint32_t has_time_namespace;
};
