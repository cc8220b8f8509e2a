/*
 * The problem: strtoull takes "-1" for a huge number, " 1" and "0x1" as well, and says nothing of
 * what follows; a size or an interval that is not what was meant is a pool that is not, either. The
 * trick: digits, then one unit, and nothing else; overflow is an error. The guarantee: what is
 * accepted has one reading, the same for a variable and for a flag of the command.
 */
#include "config.h"

#include <errno.h>
#include <string.h>

/* The digits *text begins with, of which there is at least one; *text is moved behind them. */
static int parse_digits(const char **text, uint64_t *ret_value)
{
	uint64_t value = 0;

	if (**text < '0' || **text > '9')
		return -EINVAL;
	for (; **text >= '0' && **text <= '9'; ++*text)
		if (__builtin_mul_overflow(value, UINT64_C(10), &value) ||
		    __builtin_add_overflow(value, (uint64_t)(**text - '0'), &value))
			return -ERANGE;
	*ret_value = value;
	return 0;
}

int config_parse_size(const char *text, uint64_t *ret_bytes)
{
	static const char units[] = "KMGT";
	uint64_t value;
	unsigned shift = 0;
	int error = parse_digits(&text, &value);

	if (error)
		return error;
	if (*text) {
		const char *unit = strchr(units, *text);
		if (!unit || text[1])
			return -EINVAL;
		shift = 10 * (unsigned)(unit - units + 1);
	}
	if (value > (UINT64_MAX >> 1) >> shift) /* file offsets are signed */
		return -ERANGE;
	*ret_bytes = value << shift;
	return 0;
}

/* What `unit` stands for in ns; 0: nothing. */
static uint64_t interval_unit_ns(const char *unit)
{
	if (!strcmp(unit, "us"))
		return 1000;
	if (!strcmp(unit, "ms"))
		return 1000000;
	return !strcmp(unit, "s") ? 1000000000 : 0;
}

int config_parse_interval(const char *text, uint64_t *ret_ns)
{
	uint64_t value, ns;
	int error = parse_digits(&text, &value);

	if (error)
		return error;
	uint64_t unit_ns = !*text && !value ? 1 : interval_unit_ns(text);
	if (!unit_ns)
		return -EINVAL;
	if (__builtin_mul_overflow(value, unit_ns, &ns) || ns > CONFIG_INTERVAL_MAX_NS ||
	    (ns && ns < CONFIG_INTERVAL_MIN_NS))
		return -ERANGE;
	*ret_ns = ns;
	return 0;
}

int config_parse_epoch(const char *text, int64_t *ret_epoch)
{
	bool is_back = *text == '-';
	uint64_t value;
	int error;

	text += is_back;
	error = parse_digits(&text, &value);
	if (error)
		return error;
	if (*text)
		return -EINVAL;
	if (value == 0 || value > INT64_MAX)
		return -ERANGE;
	*ret_epoch = is_back ? -(int64_t)value : (int64_t)value;
	return 0;
}

static const char *const keep_names[] = {"unset", "none", "heap", "process"};
static const char *const durability_names[] = {"media", "cache"};

const char *config_keep_name(enum keep keep)
{
	return (unsigned)keep <= KEEP_PROCESS ? keep_names[keep] : "unknown";
}

const char *config_durability_name(enum durability durability)
{
	return (unsigned)durability <= DURABILITY_CACHE ? durability_names[durability] : "unknown";
}

int config_parse_keep(const char *text, enum keep *ret_keep)
{
	for (int i = KEEP_NONE; i <= KEEP_PROCESS; i++)
		if (!strcmp(text, keep_names[i])) {
			*ret_keep = (enum keep)i;
			return 0;
		}
	return -EINVAL;
}

int config_parse_durability(const char *text, enum durability *ret_durability)
{
	for (int i = DURABILITY_MEDIA; i <= DURABILITY_CACHE; i++)
		if (!strcmp(text, durability_names[i])) {
			*ret_durability = (enum durability)i;
			return 0;
		}
	return -EINVAL;
}
