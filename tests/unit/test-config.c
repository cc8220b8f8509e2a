/* Configuration: what is accepted is what is meant, and everything else is refused by name. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "config.h"

static struct config config;
static struct refusal why;

/* Literals are const in our builds; environments are not. */
static int read_all(const char *const *envp)
{
	return config_from_environment(&config, (char *const *)(uintptr_t)envp, &why);
}

static int read_one(const char *entry)
{
	const char *const envp[] = {"HOME=/root", entry, NULL};

	return read_all(envp);
}

#define ACCEPTED(entry) cr_assert_eq(read_one(entry), 0, "%s: %s", entry, why.line)
#define REFUSED(entry, text) \
	do { \
		cr_assert_eq(read_one(entry), STATUS_USAGE, "%s", entry); \
		cr_assert_eq(why.status, STATUS_USAGE); \
		cr_assert_str_eq(why.line, text); \
	} while (0)

Test(config, empty_environment_is_inert_with_the_documented_defaults)
{
	const char *const envp[] = {NULL};

	cr_assert_eq(read_all(envp), 0);
	cr_assert(!config.is_active);
	cr_assert_eq(config.size_bytes, UINT64_C(64) << 30);
	cr_assert(!config.has_size);
	cr_assert_eq(config.keep, KEEP_UNSET);
	cr_assert_eq(config.interval_ns, UINT64_C(100000000));
	cr_assert_eq(config.durability, DURABILITY_MEDIA);
	cr_assert(!config.has_epoch);
	cr_assert_eq(config.log, SAY_WARN);
	cr_assert_eq(config.stats, STATS_OFF);
	cr_assert(!config.children_inherit && !config.is_new && !config.is_quiet);
	cr_assert_eq(config_from_environment(&config, NULL, &why), 0);
}

Test(config, every_variable_is_read)
{
	const char *const envp[] = {"HEAPSAKE_POOL=/a/b", "HEAPSAKE_SIZE=1T", "HEAPSAKE_KEEP=heap",
			      "HEAPSAKE_INTERVAL=250us", "HEAPSAKE_DURABILITY=cache",
			      "HEAPSAKE_NEW=1", "HEAPSAKE_QUIET=1", "HEAPSAKE_CHILDREN=inherit",
			      "HEAPSAKE_STATS=json", "HEAPSAKE_LOG=debug", "HEAPSAKE_DISABLE=0", NULL};

	cr_assert_eq(read_all(envp), 0, "%s", why.line);
	cr_assert(config.is_active);
	cr_assert_str_eq(config.pool_path, "/a/b");
	cr_assert(config.has_size);
	cr_assert_eq(config.size_bytes, UINT64_C(1) << 40);
	cr_assert_eq(config.keep, KEEP_HEAP);
	cr_assert_eq(config.interval_ns, 250000);
	cr_assert_eq(config.durability, DURABILITY_CACHE);
	cr_assert(!config.has_epoch);
	cr_assert(config.is_new && config.is_quiet && config.children_inherit);
	cr_assert_eq(config.stats, STATS_JSON);
	cr_assert_eq(config.log, SAY_DEBUG);
	ACCEPTED("HEAPSAKE_EPOCH=-2");
	cr_assert(config.has_epoch);
	cr_assert_eq(config.epoch, -2);
}

Test(config, unknown_names_are_refused_and_the_nearest_is_named)
{
	REFUSED("HEAPSAKE_SIZ=1G", "HEAPSAKE_SIZ: unknown variable; did you mean HEAPSAKE_SIZE?");
	REFUSED("HEAPSAKE_POOLS=x", "HEAPSAKE_POOLS: unknown variable; did you mean HEAPSAKE_POOL?");
	REFUSED("HEAPSAKE_QEIUT", "HEAPSAKE_QEIUT: unknown variable; did you mean HEAPSAKE_QUIET?");
	REFUSED("HEAPSAKE_INTERVALL=1s",
		"HEAPSAKE_INTERVALL: unknown variable; did you mean HEAPSAKE_INTERVAL?");
	REFUSED("HEAPSAKE_MIRROR=tcp", "HEAPSAKE_MIRROR: unknown variable; unset it");
	REFUSED("HEAPSAKE_=1", "HEAPSAKE_: unknown variable; unset it");
}

Test(config, bad_values_are_refused_with_value_and_what_is_accepted)
{
	REFUSED("HEAPSAKE_KEEP=some",
		"HEAPSAKE_KEEP: \"some\" is not accepted; set it to none, heap or, with 'heapsake run', process");
	REFUSED("HEAPSAKE_NEW=yes", "HEAPSAKE_NEW: \"yes\" is not accepted; set it to 0 or 1");
	REFUSED("HEAPSAKE_CHILDREN=",
		"HEAPSAKE_CHILDREN: \"\" is not accepted; set it to volatile or inherit");
	REFUSED("HEAPSAKE_STATS=2", "HEAPSAKE_STATS: \"2\" is not accepted; set it to 0, 1 or json");
	REFUSED("HEAPSAKE_LOG=loud",
		"HEAPSAKE_LOG: \"loud\" is not accepted; set it to error, warn, info or debug");
	REFUSED("HEAPSAKE_POOL=", "HEAPSAKE_POOL: \"\" is not accepted; "
				  "set it to a path (%p: the pid, %%: a percent sign)");
	REFUSED("HEAPSAKE_POOL=%d", "HEAPSAKE_POOL: \"%d\" is not accepted; "
				    "set it to a path (%p: the pid, %%: a percent sign)");
	REFUSED("HEAPSAKE_DURABILITY=disk",
		"HEAPSAKE_DURABILITY: \"disk\" is not accepted; set it to media or cache");
	REFUSED("HEAPSAKE_INTERVAL=100", "HEAPSAKE_INTERVAL: \"100\" is not accepted; set it to 0, or "
					 "a number with us, ms or s, from 100us to 3600s");
	REFUSED("HEAPSAKE_EPOCH=newest",
		"HEAPSAKE_EPOCH: \"newest\" is not accepted; set it to an epoch's number, or -1, -2, "
		"...: that many before the newest");
	static const char *const sizes[] = {"HEAPSAKE_SIZE=", "HEAPSAKE_SIZE=1.5T",
					    "HEAPSAKE_SIZE=-1", "HEAPSAKE_SIZE=64GB",
					    "HEAPSAKE_SIZE=15M", "HEAPSAKE_SIZE=99999999T"};
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		char expected[128];
		snprintf(expected, sizeof(expected),
			 "HEAPSAKE_SIZE: \"%s\" is not accepted; set it to a number of bytes at "
			 "least 16M, or one with K, M, G or T",
			 sizes[i] + sizeof("HEAPSAKE_SIZE"));
		REFUSED(sizes[i], expected);
	}
}

/* Once the pool was emptied, and only then the epoch found to be missing. */
Test(config, an_epoch_of_a_pool_that_is_emptied_is_refused)
{
	const char *const both[] = {"HEAPSAKE_EPOCH=-1", "HEAPSAKE_NEW=1", NULL};
	const char *const one[] = {"HEAPSAKE_EPOCH=-1", "HEAPSAKE_NEW=0", NULL};

	cr_assert_eq(read_all(both), STATUS_USAGE);
	cr_assert_str_eq(why.line, "HEAPSAKE_EPOCH: is of a pool that HEAPSAKE_NEW=1 (--new) empties "
				   "first; leave one of the two out");
	cr_assert_eq(read_all(one), 0);
}

Test(config, percent_p_is_the_pid)
{
	char expected[64];

	ACCEPTED("HEAPSAKE_POOL=/x/%p-%%.%p");
	snprintf(expected, sizeof(expected), "/x/%d-%%.%d", getpid(), getpid());
	cr_assert_str_eq(config.pool_path, expected);
}

Test(config, a_path_that_does_not_fit_is_refused)
{
	static char entry[CONFIG_PATH_MAX + 64] = "HEAPSAKE_POOL=";
	size_t prefix = strlen(entry);

	memset(entry + prefix, 'x', CONFIG_PATH_MAX - 1);
	ACCEPTED(entry);
	cr_assert_eq(strlen(config.pool_path), CONFIG_PATH_MAX - 1);
	entry[prefix + CONFIG_PATH_MAX - 1] = 'x';
	cr_assert_eq(read_one(entry), STATUS_USAGE);
}

Test(config, disable_wins_over_everything_even_mistakes)
{
	const char *const envp[] = {"HEAPSAKE_NONSENSE=1", "HEAPSAKE_POOL=/a", "HEAPSAKE_DISABLE=1", NULL};

	cr_assert_eq(read_all(envp), 0);
	cr_assert(!config.is_active);
}

Test(config, sizes)
{
	uint64_t bytes = 7;

	cr_assert_eq(config_parse_size("4096", &bytes), 0);
	cr_assert_eq(bytes, 4096);
	cr_assert_eq(config_parse_size("3K", &bytes), 0);
	cr_assert_eq(bytes, 3072);
	cr_assert_eq(config_parse_size("0", &bytes), 0);
	cr_assert_eq(bytes, 0);
	cr_assert_eq(config_parse_size("8388607T", &bytes), 0);
	cr_assert_eq(bytes, UINT64_C(8388607) << 40);
	cr_assert_eq(config_parse_size("8388608T", &bytes), -ERANGE);
	cr_assert_eq(config_parse_size("18446744073709551616", &bytes), -ERANGE);
	cr_assert_eq(config_parse_size("1.5T", &bytes), -EINVAL);
	cr_assert_eq(config_parse_size("+1", &bytes), -EINVAL);
	cr_assert_eq(config_parse_size(" 1", &bytes), -EINVAL);
	cr_assert_eq(config_parse_size("1k", &bytes), -EINVAL);
	cr_assert_eq(config_parse_size("1KK", &bytes), -EINVAL);
	cr_assert_eq(bytes, UINT64_C(8388607) << 40, "written only on success");
}

static int interval_result(const char *text)
{
	uint64_t ns = 7;
	int error = config_parse_interval(text, &ns);

	cr_assert(!error || ns == 7, "%s: written only on success", text);
	return error;
}

Test(config, intervals)
{
	static const struct {
		const char *text;
		uint64_t ns;
	} good[] = {{"0", 0}, {"0s", 0}, {"100us", 100000}, {"1ms", 1000000},
		    {"5s", UINT64_C(5000000000)}, {"3600s", UINT64_C(3600000000000)},
		    {"3600000000us", UINT64_C(3600000000000)}};
	static const char *const malformed[] = {"", "1", "ms", "1 ms", "1m", "1MS", "-1ms", "1.5s",
						"1ss", "+1s", "0x", "0m", "us1"};
	static const char *const too_far[] = {"99us", "1us", "3601s", "3600001ms",
					      "18446744073709551616us", "18446744073709551615s"};

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		uint64_t ns = 7;
		cr_assert_eq(config_parse_interval(good[i].text, &ns), 0, "%s", good[i].text);
		cr_assert_eq(ns, good[i].ns, "%s", good[i].text);
	}
	for (size_t i = 0; i < sizeof(malformed) / sizeof(*malformed); i++)
		cr_assert_eq(interval_result(malformed[i]), -EINVAL, "%s", malformed[i]);
	for (size_t i = 0; i < sizeof(too_far) / sizeof(*too_far); i++)
		cr_assert_eq(interval_result(too_far[i]), -ERANGE, "%s", too_far[i]);
}

Test(config, epochs)
{
	int64_t epoch = 7;

	cr_assert_eq(config_parse_epoch("812", &epoch), 0);
	cr_assert_eq(epoch, 812);
	cr_assert_eq(config_parse_epoch("-3", &epoch), 0);
	cr_assert_eq(epoch, -3);
	cr_assert_eq(config_parse_epoch("-9223372036854775807", &epoch), 0);
	cr_assert_eq(epoch, -INT64_MAX);
	static const char *const bad[] = {"", "-", "--1", "+1", "1x", " 1", "-0", "0", "newest",
					  "9223372036854775808", "-9223372036854775808"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		cr_assert_lt(config_parse_epoch(bad[i], &epoch), 0, "%s", bad[i]);
	cr_assert_eq(epoch, -INT64_MAX, "written only on success");
}

Test(config, durability_names_and_parser_agree)
{
	for (int i = DURABILITY_MEDIA; i <= DURABILITY_CACHE; i++) {
		enum durability parsed = DURABILITY_MEDIA;
		cr_assert_eq(config_parse_durability(config_durability_name((enum durability)i),
						     &parsed), 0);
		cr_assert_eq((int)parsed, i);
	}
	enum durability parsed;
	cr_assert_eq(config_parse_durability("disk", &parsed), -EINVAL);
	cr_assert_str_eq(config_durability_name((enum durability)77), "unknown");
}

Test(config, keep_names_and_parser_agree)
{
	for (int keep = KEEP_NONE; keep <= KEEP_PROCESS; keep++) {
		enum keep parsed = KEEP_UNSET;
		cr_assert_eq(config_parse_keep(config_keep_name((enum keep)keep), &parsed), 0);
		cr_assert_eq((int)parsed, keep);
	}
	enum keep parsed;
	cr_assert_eq(config_parse_keep("unset", &parsed), -EINVAL);
	cr_assert_str_eq(config_keep_name((enum keep)77), "unknown");
}

/* Strips one LD_PRELOAD; NULL when it left altogether. */
static const char *strip_preload(const char *value)
{
	static char entry[256];
	static const char *envp[4];

	snprintf(entry, sizeof(entry), "LD_PRELOAD=%s", value);
	envp[0] = "HEAPSAKE_POOL=/x";
	envp[1] = entry;
	envp[2] = "Z=1";
	envp[3] = NULL;
	char **stripped = config_strip_environment((char **)(uintptr_t)envp);
	cr_assert_null(envp[3]);
	cr_assert_str_eq(envp[2], "Z=1");
	for (const char **word = envp; word < (const char **)stripped; word++)
		cr_assert_str_eq(*word, "");
	if (stripped == (char **)&envp[2])
		return NULL;
	cr_assert_eq(stripped, (char **)&envp[1]);
	return envp[1] + strlen("LD_PRELOAD=");
}

Test(config, stripping_takes_our_variables_and_our_library_only)
{
	cr_assert_null(strip_preload("libheapsake.so"));
	cr_assert_null(strip_preload("/opt/x/libheapsake.so"));
	cr_assert_null(strip_preload(":/opt/libheapsake-private.so "));
	cr_assert_str_eq(strip_preload("a.so:/x/libheapsake.so:b.so"), "a.so:b.so");
	cr_assert_str_eq(strip_preload("libheapsake.so b.so"), "b.so");
	cr_assert_str_eq(strip_preload("a.so libheapsake.so"), "a.so");
	cr_assert_str_eq(strip_preload("a.so:b.so c.so"), "a.so:b.so c.so");
	cr_assert_str_eq(strip_preload("/x/libheapsake.so:a.so:libheapsake.so"), "a.so");
	cr_assert_str_eq(strip_preload("notlibheapsake.so:libheapsake.so.1"),
			 "notlibheapsake.so:libheapsake.so.1");
	cr_assert_str_eq(strip_preload(""), "");
}

Test(config, stripping_keeps_the_order_of_others)
{
	const char *envp[] = {"A=1", "HEAPSAKE_SIZE=1G", "B=2", "HEAPSAKE_NONSENSE", "HEAPSAKER=3", NULL};

	char **stripped = config_strip_environment((char **)(uintptr_t)envp);
	cr_assert_str_eq(stripped[0], "A=1");
	cr_assert_str_eq(stripped[1], "B=2");
	cr_assert_str_eq(stripped[2], "HEAPSAKER=3");
	cr_assert_eq(stripped, (char **)&envp[2]); /* what is behind it on the stack stays there */
	config_strip_environment(NULL);
}
