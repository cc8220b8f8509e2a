/*
 * The command line: help, and one line for whatever is wrong with it.
 *
 * getopt_long() does the parsing with its own messages off, since ours name the verb and the
 * remedy. Options stop at the first operand, for every verb, because for `run` they must.
 */
#include "command.h"

#include <getopt.h>
#include <stdarg.h>
#include <string.h>

#include "spelling.h"

#define OPTION_MAX 8
#define OPTION_HELP 1000
#define OPTION_JSON 1001

void usage_print(FILE *out)
{
	fprintf(out, "usage: heapsake VERB ARGUMENT...\n\n");
	for (unsigned i = 0; i < verb_count; i++)
		fprintf(out, "  %-8s %s\n           %s\n", verbs[i].name, verbs[i].arguments,
			verbs[i].summary);
	fprintf(out, "\nKept is the whole process (-k process), the heap of a program written for it "
		     "(-k heap),\nor nothing (-k none). See heapsake(1) and heapsake(7).\n");
}

static void usage_print_verb(const char *name)
{
	for (unsigned i = 0; i < verb_count; i++)
		if (!strcmp(verbs[i].name, name))
			printf("usage: heapsake %s %s\n%s\n", name, verbs[i].arguments,
			       verbs[i].summary);
}

int usage_refuse(const char *verb, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	say(SAY_ERROR, verb, "%s; see 'heapsake %s --help'", text, verb);
	return STATUS_USAGE;
}

/* The option getopt_long() has just stumbled over, as it was typed: a letter is in optopt, and
 * may stand in the middle of a word. */
static const char *usage_bad_option(char **argv, char letter_text[3])
{
	if (optopt <= 0 || optopt > 127)
		return argv[optind - 1];
	letter_text[0] = '-';
	letter_text[1] = (char)optopt;
	letter_text[2] = 0;
	return letter_text;
}

int usage_next_option(int argc, char **argv, const char *letters, const struct option *longs,
		      int *ret_status)
{
	struct option all[OPTION_MAX + 2] = {{"help", no_argument, NULL, OPTION_HELP}};
	char letter_text[3];
	char short_options[32];

	for (unsigned i = 0; i < OPTION_MAX && longs[i].name; i++)
		all[i + 1] = longs[i];
	snprintf(short_options, sizeof(short_options), "+:%s", letters);
	opterr = 0;
	int option = getopt_long(argc, argv, short_options, all, NULL);
	switch (option) {
	case OPTION_HELP:
		usage_print_verb(argv[0]);
		*ret_status = STATUS_OK;
		return USAGE_ANSWERED;
	case ':':
		*ret_status = usage_refuse(argv[0], "option '%s' needs a value",
					   usage_bad_option(argv, letter_text));
		return USAGE_ANSWERED;
	case '?':
		*ret_status = usage_refuse(argv[0], "unknown option '%s'",
					   usage_bad_option(argv, letter_text));
		return USAGE_ANSWERED;
	default:
		return option;
	}
}

bool usage_read_json_option(int argc, char **argv, bool *ret_is_json, int *ret_status)
{
	static const struct option longs[] = {{"json", no_argument, NULL, OPTION_JSON}, {0}};
	int option;

	*ret_is_json = false;
	while ((option = usage_next_option(argc, argv, "", longs, ret_status)) != -1) {
		if (option != OPTION_JSON)
			return false;
		*ret_is_json = true;
	}
	return true;
}

const char *usage_one_operand(int argc, char **argv, const char *name)
{
	if (argc - optind == 1 && argv[optind][0])
		return argv[optind];
	if (argc == optind)
		usage_refuse(argv[0], "no %s given", name);
	else if (argc - optind == 1)
		usage_refuse(argv[0], "the %s given is empty", name);
	else
		usage_refuse(argv[0], "one %s is taken, %d are given", name, argc - optind);
	return NULL;
}

const char *usage_read_pool(int argc, char **argv, bool *ret_is_json, int *ret_status)
{
	if (!usage_read_json_option(argc, argv, ret_is_json, ret_status))
		return NULL;
	*ret_status = STATUS_USAGE;
	return usage_one_operand(argc, argv, "POOL");
}

int usage_unknown_verb(const char *name)
{
	const char *bare = name + strspn(name, "-");
	const char *nearest = verbs[0].name;
	unsigned best = SPELLING_MAX;

	for (unsigned i = 0; i < verb_count; i++) {
		unsigned distance = spelling_distance(bare, strlen(bare), verbs[i].name);
		if (distance >= best)
			continue;
		best = distance;
		nearest = verbs[i].name;
	}
	if (best < 4 && best < strlen(nearest))
		say(SAY_ERROR, name, "unknown verb; did you mean 'heapsake %s'?", nearest);
	else
		say(SAY_ERROR, name, "unknown verb; see 'heapsake --help'");
	return STATUS_USAGE;
}
