/*
 * The problem: a mistyped HEAPSAKE_SIZ that is ignored means a program that silently runs with
 * another pool than its user believes. The trick: one table of all variables; every name that
 * starts with HEAPSAKE_ must be in it, and every value must be one its parser accepts. The
 * guarantee: what is in struct config is what the environment says, or there is a refusal that
 * names the variable, the value and what would be accepted.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "layout.h"
#include "os.h"
#include "spelling.h"

#define PREFIX "HEAPSAKE_"

struct variable {
	const char *name; /* without the prefix */
	const char *accepted;
	int (*parse)(struct config *config, const char *value); /* 0 or -EINVAL */
};

static int parse_bool(const char *value, bool *ret_value)
{
	if (!strcmp(value, "0"))
		*ret_value = false;
	else if (!strcmp(value, "1"))
		*ret_value = true;
	else
		return -EINVAL;
	return 0;
}

/* %p becomes the pid, %% a percent sign; any other % is refused, so that more can come later. */
static int parse_pool(struct config *config, const char *value)
{
	size_t len = 0;

	if (!*value)
		return -EINVAL;
	for (; *value; value++) {
		char piece[16] = {*value};
		if (*value == '%' && value[1] == 'p')
			snprintf(piece, sizeof(piece), "%d", os_getpid());
		else if (*value == '%' && value[1] != '%')
			return -EINVAL;
		if (*value == '%')
			value++;
		size_t piece_len = strlen(piece);
		if (len + piece_len >= sizeof(config->pool_path))
			return -EINVAL;
		memcpy(config->pool_path + len, piece, piece_len + 1);
		len += piece_len;
	}
	config->is_active = true;
	return 0;
}

static int parse_size(struct config *config, const char *value)
{
	config->has_size = true;
	if (config_parse_size(value, &config->size_bytes) < 0)
		return -EINVAL;
	return config->size_bytes < LAYOUT_HEAP_MIN_BYTES ? -EINVAL : 0;
}

static int parse_keep(struct config *config, const char *value)
{
	return config_parse_keep(value, &config->keep);
}

static int parse_interval(struct config *config, const char *value)
{
	return config_parse_interval(value, &config->interval_ns);
}

static int parse_durability(struct config *config, const char *value)
{
	return config_parse_durability(value, &config->durability);
}

static int parse_epoch(struct config *config, const char *value)
{
	config->has_epoch = true;
	return config_parse_epoch(value, &config->epoch);
}

static int parse_new(struct config *config, const char *value)
{
	return parse_bool(value, &config->is_new);
}

static int parse_quiet(struct config *config, const char *value)
{
	return parse_bool(value, &config->is_quiet);
}

/* Not for people: set by `heapsake run` for the program it watches over. */
static int parse_keeper(struct config *config, const char *value)
{
	config->keeper_fd = 0;
	for (; *value >= '0' && *value <= '9' && config->keeper_fd < 1 << 20; value++)
		config->keeper_fd = config->keeper_fd * 10 + *value - '0';
	config->has_keeper = config->keeper_fd > 2 && !*value;
	return config->has_keeper ? 0 : -EINVAL;
}

static int parse_children(struct config *config, const char *value)
{
	config->children_inherit = !strcmp(value, "inherit");
	return config->children_inherit || !strcmp(value, "volatile") ? 0 : -EINVAL;
}

/* The position of value in words, which end with NULL; or -EINVAL. */
static int word_index(const char *const *words, const char *value)
{
	for (int i = 0; words[i]; i++)
		if (!strcmp(words[i], value))
			return i;
	return -EINVAL;
}

static int parse_stats(struct config *config, const char *value)
{
	static const char *const words[] = {"0", "1", "json", NULL};
	int index = word_index(words, value);

	if (index < 0)
		return index;
	config->stats = (enum stats_form)index;
	return 0;
}

static int parse_log(struct config *config, const char *value)
{
	static const char *const words[] = {"error", "warn", "info", "debug", NULL};
	int index = word_index(words, value);

	if (index < 0)
		return index;
	config->log = (enum say_level)index;
	return 0;
}

static int parse_disable(struct config *config, const char *value)
{
	bool is_disabled;

	(void)config; /* 1 is handled before anything else is looked at: config_from_environment */
	return parse_bool(value, &is_disabled);
}

static const struct variable variables[] = {
	{"POOL", "a path (%p: the pid, %%: a percent sign)", parse_pool},
	{"SIZE", "a number of bytes at least 16M, or one with K, M, G or T", parse_size},
	{"KEEP", "none, heap or, with 'heapsake run', process", parse_keep},
	{"INTERVAL", CONFIG_INTERVAL_ACCEPTED, parse_interval},
	{"DURABILITY", "media or cache", parse_durability},
	{"EPOCH", CONFIG_EPOCH_ACCEPTED, parse_epoch},
	{"NEW", "0 or 1", parse_new},
	{"QUIET", "0 or 1", parse_quiet},
	{"KEEPER", "nothing: 'heapsake run' sets it", parse_keeper},
	{"CHILDREN", "volatile or inherit", parse_children},
	{"STATS", "0, 1 or json", parse_stats},
	{"LOG", "error, warn, info or debug", parse_log},
	{"DISABLE", "0 or 1", parse_disable},
};
#define VARIABLE_COUNT (sizeof(variables) / sizeof(variables[0]))

static int refuse_unknown(struct refusal *ret_why, const char *name, size_t name_len)
{
	const char *nearest = NULL;
	unsigned best = 3; /* two slips at most: farther is another word */
	char object[80];

	for (size_t i = 0; i < VARIABLE_COUNT; i++) {
		unsigned distance = spelling_distance(name, name_len, variables[i].name);
		if (distance < best && distance < name_len) {
			best = distance;
			nearest = variables[i].name;
		}
	}
	snprintf(object, sizeof(object), PREFIX "%.*s", (int)(name_len < 64 ? name_len : 64), name);
	if (nearest)
		return refuse(ret_why, STATUS_USAGE, object,
			      "unknown variable; did you mean " PREFIX "%s?", nearest);
	return refuse(ret_why, STATUS_USAGE, object, "unknown variable; unset it");
}

/* One variable of ours, "NAME=value" without the prefix. */
static int config_read_entry(struct config *config, const char *entry, struct refusal *ret_why)
{
	const char *equals = strchr(entry, '=');
	size_t name_len = equals ? (size_t)(equals - entry) : strlen(entry);
	const char *value = equals ? equals + 1 : "";

	for (size_t i = 0; i < VARIABLE_COUNT; i++) {
		const struct variable *variable = &variables[i];
		char object[32];
		if (strlen(variable->name) != name_len || memcmp(variable->name, entry, name_len) != 0)
			continue;
		if (variable->parse(config, value) == 0)
			return 0;
		snprintf(object, sizeof(object), PREFIX "%s", variable->name);
		return refuse(ret_why, STATUS_USAGE, object, "\"%.128s\" is not accepted; set it to %s",
			      value, variable->accepted);
	}
	return refuse_unknown(ret_why, entry, name_len);
}

static bool is_disabled(char *const *envp)
{
	for (; envp && *envp; envp++)
		if (!strcmp(*envp, PREFIX "DISABLE=1"))
			return true;
	return false;
}

int config_from_environment(struct config *ret_config, char *const *envp, struct refusal *ret_why)
{
	struct config *config = ret_config;

	memset(config, 0, sizeof(*config));
	config->size_bytes = CONFIG_SIZE_DEFAULT;
	config->interval_ns = CONFIG_INTERVAL_DEFAULT_NS;
	config->log = SAY_WARN;
	if (is_disabled(envp)) /* the emergency brake works whatever else is wrong */
		return 0;
	for (; envp && *envp; envp++) {
		if (strncmp(*envp, PREFIX, strlen(PREFIX)) != 0)
			continue;
		int status = config_read_entry(config, *envp + strlen(PREFIX), ret_why);
		if (status)
			return status;
	}
	/* Known only when it had been emptied: then it is too late to refuse. */
	if (config->is_new && config->has_epoch)
		return refuse(ret_why, STATUS_USAGE, PREFIX "EPOCH", "is of a pool that " PREFIX "NEW=1 "
			      "(--new) empties first; leave one of the two out");
	return 0;
}
