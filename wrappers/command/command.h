/*
 * The command `heapsake`: a table of verbs (main.c), one file a verb.
 *
 * Every verb: data to stdout, talk to stderr, one line a fact (`heapsake: <object>: <fact>;
 * <remedy>`), statuses of enum status. A verb returns its status; main() adds what is common to
 * all: stdout that cannot be written is a failure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "say.h"

struct verb {
	const char *name;
	const char *arguments; /* as the synopsis shows them */
	const char *summary;   /* what the verb does, half a line */
	int (*call)(int argc, char **argv); /* argv[0] is the verb's name */
};

extern const struct verb verbs[];
extern const unsigned verb_count;

int run_main(int argc, char **argv);
int resume_main(int argc, char **argv);
int create_main(int argc, char **argv);
int rm_main(int argc, char **argv);
int info_main(int argc, char **argv);
int ls_main(int argc, char **argv);
int counters_main(int argc, char **argv); /* the verb "stats" */
int ask_main(int argc, char **argv);      /* the verb "checkpoint" */
int check_main(int argc, char **argv);
int env_main(int argc, char **argv);
int doctor_main(int argc, char **argv);
int version_main(int argc, char **argv);

/* usage.c */

/* The next option as getopt_long() gives it, or -1 when they are over; --help and everything
 * that is not in `letters` and `longs` (ended by a zero entry, without --help) is answered
 * here: *ret_status is then what the verb returns, and the result USAGE_ANSWERED. */
#define USAGE_ANSWERED 0
struct option;
int usage_next_option(int argc, char **argv, const char *letters, const struct option *longs,
		      int *ret_status);
/* usage_refuse() - say what is wrong with the command line of `verb`; STATUS_USAGE */
int usage_refuse(const char *verb, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* For a verb with no option but --json: true, or false and the verb returns *ret_status. */
bool usage_read_json_option(int argc, char **argv, bool *ret_is_json, int *ret_status);
/* For a verb `[--json] POOL`: the pool's path, or NULL and the verb returns *ret_status. */
const char *usage_read_pool(int argc, char **argv, bool *ret_is_json, int *ret_status);
/* The verb's one operand, or NULL after it was said that none or several were given. */
const char *usage_one_operand(int argc, char **argv, const char *name);
void usage_print(FILE *out);
/* usage_unknown_verb() - one line with the nearest verb; STATUS_USAGE */
int usage_unknown_verb(const char *name);

/* text.c */

struct json_object;
/* Add a string; bytes that are not UTF-8, which JSON cannot hold, become U+FFFD. */
void text_add_json(struct json_object *object, const char *key, const char *value);
void text_add_number(struct json_object *object, const char *key, uint64_t value);
/* A new object with the schema's number, and the pool's path unless NULL. */
struct json_object *text_new_json(const char *pool);
/* Print one line of JSON and free the object. */
void text_print_json(struct json_object *object);
/* One aligned line `name  value`; control characters of the value are shown as \xNN. */
void text_print_field(const char *name, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* "64G" where the unit divides it, else "1.5G": for people, never to be parsed. */
#define TEXT_SIZE_BYTES 24
const char *text_size(uint64_t bytes, char buffer[TEXT_SIZE_BYTES]);
/* text_say_refusal() - `heapsake: <line>`; returns why's status */
int text_say_refusal(const struct refusal *why);
