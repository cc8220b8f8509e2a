/*
 * The problem: a program's children inherit its environment, and with it a preload they did not
 * ask for and a pool they may not open. The trick: our entries are taken out of the very array and
 * strings the program was started with, before it has seen them; nothing has to be allocated, as
 * everything only gets shorter. The guarantee: other variables keep their order and bytes, other
 * LD_PRELOAD entries stay.
 *
 * The array gets shorter at its beginning: right behind its end is the auxiliary vector, which Go
 * looks for there. Who takes the beginning from argv, as Go does, finds empty words first.
 */
#include "config.h"

#include <string.h>

static bool is_separator(char c)
{
	return c == ' ' || c == ':';
}

static bool is_our_library(const char *entry, size_t len)
{
	static const char *const names[] = {"libheapsake.so", "libheapsake-private.so"};
	const char *slash = memrchr(entry, '/', len);
	const char *base = slash ? slash + 1 : entry;
	size_t base_len = len - (size_t)(base - entry);

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strlen(names[i]) == base_len && !memcmp(names[i], base, base_len))
			return true;
	return false;
}

/* Takes our library out of a list like "a.so:/x/libheapsake.so b.so", in place; each entry that
 * stays brings the separator in front of it along. Returns false if nothing is left. */
static bool strip_list(char *list)
{
	char *out = list;
	const char *in = list;
	bool is_stripped = false;

	while (*in) {
		const char *separators = in;
		while (is_separator(*in))
			in++;
		const char *entry = in;
		while (*in && !is_separator(*in))
			in++;
		if (is_our_library(entry, (size_t)(in - entry))) {
			is_stripped = true;
			continue;
		}
		const char *from = out == list ? entry : separators;
		memmove(out, from, (size_t)(in - from));
		out += in - from;
	}
	*out = 0;
	return !is_stripped || out != list;
}

const char *config_own_preload(const char *list, size_t *ret_len)
{
	while (*list) {
		while (is_separator(*list))
			list++;
		const char *entry = list;
		while (*list && !is_separator(*list))
			list++;
		*ret_len = (size_t)(list - entry);
		if (is_our_library(entry, *ret_len))
			return entry;
	}
	return NULL;
}

static bool is_kept(char *entry)
{
	static const char preload[] = "LD_PRELOAD=";

	if (!strncmp(entry, "HEAPSAKE_", strlen("HEAPSAKE_")))
		return false;
	if (!strncmp(entry, preload, strlen(preload)))
		return strip_list(entry + strlen(preload));
	return true;
}

char **config_strip_environment(char **envp)
{
	static char nothing[1];
	char **end = envp;

	while (end && *end)
		end++;
	char **out = end;
	for (char **in = end; in > envp; in--)
		if (is_kept(in[-1]))
			*--out = in[-1];
	for (char **word = envp; word < out; word++)
		*word = nothing;
	return out;
}
