/*
 * Configuration: the HEAPSAKE_* environment as one struct, read once, then read-only.
 *
 * An unknown HEAPSAKE_* name or a bad value is refused (STATUS_USAGE) naming the variable, the
 * value and what would be accepted; never ignored. Variables whose issue has not landed are
 * unknown. The command's flags become variables, by way of the same parsers (config-value.c).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "say.h"

enum keep { KEEP_UNSET = 0, KEEP_NONE = 1, KEEP_HEAP = 2, KEEP_PROCESS = 3 };
/* Does a pool of this keep have epochs? */
static inline bool keep_has_epochs(enum keep keep)
{
	return keep == KEEP_HEAP || keep == KEEP_PROCESS;
}
enum durability { DURABILITY_MEDIA = 0, DURABILITY_CACHE = 1 }; /* survives power loss; kill -9 */
enum stats_form { STATS_OFF, STATS_TEXT, STATS_JSON };

#define CONFIG_SIZE_DEFAULT (UINT64_C(64) << 30)
#define CONFIG_PATH_MAX 4096

/* Below the shortest interval a cut would follow the next; beyond the longest, nobody should call
 * it continuous: 0 says that outright. */
#define CONFIG_INTERVAL_DEFAULT_NS UINT64_C(100000000)
#define CONFIG_INTERVAL_MIN_NS UINT64_C(100000)
#define CONFIG_INTERVAL_MAX_NS (UINT64_C(3600) * 1000000000)
#define CONFIG_INTERVAL_ACCEPTED "0, or a number with us, ms or s, from 100us to 3600s"
#define CONFIG_EPOCH_ACCEPTED "an epoch's number, or -1, -2, ...: that many before the newest"

struct config {
	bool is_active;                  /* HEAPSAKE_POOL is set and HEAPSAKE_DISABLE is not 1 */
	char pool_path[CONFIG_PATH_MAX]; /* HEAPSAKE_POOL, %p replaced by the pid */
	uint64_t size_bytes;             /* HEAPSAKE_SIZE, CONFIG_SIZE_DEFAULT when unset */
	bool has_size;                   /* HEAPSAKE_SIZE was given */
	enum keep keep;                  /* HEAPSAKE_KEEP; KEEP_UNSET when unset: the default, heap */
	uint64_t interval_ns;            /* HEAPSAKE_INTERVAL; 0: epochs only when asked for */
	enum durability durability;      /* HEAPSAKE_DURABILITY, asked for, not what there is */
	bool has_epoch;                  /* HEAPSAKE_EPOCH was given: */
	int64_t epoch;                   /* >0: its number; <0: so many back along the branch */
	bool is_new;                     /* HEAPSAKE_NEW=1 */
	bool is_quiet;                   /* HEAPSAKE_QUIET=1 */
	bool has_keeper;                 /* HEAPSAKE_KEEPER: `heapsake run` has started us, */
	int keeper_fd;                   /* and this is its note (process/keeper.h) */
	bool children_inherit;           /* HEAPSAKE_CHILDREN=inherit */
	enum stats_form stats;           /* HEAPSAKE_STATS=0|1|json */
	enum say_level log;              /* HEAPSAKE_LOG, default warn */
};

/* config_from_environment() - parse envp; 0, or STATUS_USAGE with *ret_why filled */
int config_from_environment(struct config *ret_config, char *const *envp, struct refusal *ret_why);

/* config_strip_environment() - take HEAPSAKE_* and our LD_PRELOAD entry out of envp, in place;
 * where it begins from now on */
char **config_strip_environment(char **envp);
/* config_own_preload() - our library's entry in a value of LD_PRELOAD; NULL: it is not there */
const char *config_own_preload(const char *list, size_t *ret_len);

/* ---- Values: 0, or -EINVAL, -ERANGE and *ret_ is untouched ---- */

/* "64G", "4096", "1.5T" is refused: digits, then one of K M G T (powers of 1024) or nothing. */
int config_parse_size(const char *text, uint64_t *ret_bytes);
/* "250us", "100ms", "5s", "0"; other numbers need their unit. */
int config_parse_interval(const char *text, uint64_t *ret_ns);
int config_parse_durability(const char *text, enum durability *ret_durability);
/* "812" or "-1"; never 0 */
int config_parse_epoch(const char *text, int64_t *ret_epoch);
int config_parse_keep(const char *text, enum keep *ret_keep);

const char *config_keep_name(enum keep keep); /* "unset", "none", ... */
const char *config_durability_name(enum durability durability);
