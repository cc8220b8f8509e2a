/*
 * Configuration: the HEAPSAKE_* environment as one struct, read once, then read-only.
 *
 * An unknown HEAPSAKE_* name or a bad value is refused (STATUS_USAGE) naming the variable, the
 * value and what would be accepted; never ignored. Variables whose issue has not landed are
 * unknown. The command builds the same struct from its flags, by way of the same parsers.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "say.h"

enum keep { KEEP_UNSET = 0, KEEP_NONE = 1, KEEP_HEAP = 2, KEEP_PROCESS = 3 };
enum durability { DURABILITY_MEDIA = 0, DURABILITY_CACHE = 1 }; /* survives power loss; kill -9 */
enum stats_form { STATS_OFF, STATS_TEXT, STATS_JSON };

#define CONFIG_SIZE_DEFAULT (UINT64_C(64) << 30)
#define CONFIG_PATH_MAX 4096

struct config {
	bool is_active;                  /* HEAPSAKE_POOL is set and HEAPSAKE_DISABLE is not 1 */
	char pool_path[CONFIG_PATH_MAX]; /* HEAPSAKE_POOL, %p replaced by the pid */
	uint64_t size_bytes;             /* HEAPSAKE_SIZE, CONFIG_SIZE_DEFAULT when unset */
	bool has_size;                   /* HEAPSAKE_SIZE was given */
	enum keep keep;                  /* HEAPSAKE_KEEP, KEEP_UNSET when unset */
	bool is_new;                     /* HEAPSAKE_NEW=1 */
	bool is_quiet;                   /* HEAPSAKE_QUIET=1 */
	bool children_inherit;           /* HEAPSAKE_CHILDREN=inherit */
	enum stats_form stats;           /* HEAPSAKE_STATS=0|1|json */
	enum say_level log;              /* HEAPSAKE_LOG, default warn */
};

/* config_from_environment() - parse envp; 0, or STATUS_USAGE with *ret_why filled */
int config_from_environment(struct config *ret_config, char *const *envp, struct refusal *ret_why);

/* config_strip_environment() - take HEAPSAKE_* and our LD_PRELOAD entry out of envp, in place */
void config_strip_environment(char **envp);
/* config_own_preload() - our library's entry in a value of LD_PRELOAD; NULL: it is not there */
const char *config_own_preload(const char *list, size_t *ret_len);

/* "64G", "4096", "1.5T" is refused: digits, then one of K M G T (powers of 1024) or nothing. */
int config_parse_size(const char *text, uint64_t *ret_bytes); /* 0 or -EINVAL, -ERANGE */
const char *config_keep_name(enum keep keep);                 /* "unset", "none", ... */
int config_parse_keep(const char *text, enum keep *ret_keep); /* 0 or -EINVAL */
