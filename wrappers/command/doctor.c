/*
 * `heapsake doctor`: what will work here, found by trying.
 *
 * A version number or a mount option says what should work; containers, seccomp filters and odd
 * file systems decide what does. So everything is tried, on memory and nameless files of its
 * own. "no" is for what stops every keep; what only some need is at most "warn".
 */
#include "doctor.h"

#include <json-c/json.h>
#include <libgen.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "command.h"
#include "config.h"
#include "launch.h"

static const char *const verdict_names[] = {"ok", "warn", "no"};

static void doctor_add_json(struct doctor *doctor, enum verdict verdict, const char *what,
			    const char *remedy, const char *fact)
{
	struct json_object *finding = json_object_new_object();

	text_add_json(finding, "what", what);
	text_add_json(finding, "verdict", verdict_names[verdict]);
	text_add_json(finding, "fact", fact);
	if (remedy)
		text_add_json(finding, "remedy", remedy);
	json_object_array_add(doctor->findings, finding);
}

void doctor_tell(struct doctor *doctor, enum verdict verdict, const char *what,
		 const char *remedy, const char *format, ...)
{
	char fact[PATH_MAX + 512];
	va_list args;

	va_start(args, format);
	vsnprintf(fact, sizeof(fact), format, args);
	va_end(args);
	doctor->no_count += verdict == VERDICT_NO;
	if (doctor->is_json) {
		doctor_add_json(doctor, verdict, what, remedy, fact);
		return;
	}
	printf("%-5s", verdict_names[verdict]);
	text_print_field(what, "%s%s%s", fact, remedy ? "; " : "", remedy ? remedy : "");
}

static void doctor_look_at_installation(struct doctor *doctor)
{
	char library[PATH_MAX];
	struct refusal why;

	if (launch_find_library(library, &why) == 0)
		doctor_tell(doctor, VERDICT_OK, "library", NULL, "%s", library);
	else
		doctor_tell(doctor, VERDICT_NO, "library", NULL, "%s", why.line);
}

/* Where the pool will be: HEAPSAKE_POOL's directory, else the working directory. */
static void doctor_look_at_place(struct doctor *doctor)
{
	static struct config config;
	struct refusal why;

	if (config_from_environment(&config, environ, &why) != 0)
		doctor_tell(doctor, VERDICT_NO, "environment", NULL, "%s", why.line);
	doctor_look_at_directory(doctor, config.is_active ? dirname(config.pool_path) : ".");
}

static int doctor_finish(struct doctor *doctor)
{
	if (doctor->is_json) {
		struct json_object *object = json_object_new_object();
		json_object_object_add(object, "schema", json_object_new_int(1));
		json_object_object_add(object, "ok",
				       json_object_new_boolean(!doctor->no_count));
		json_object_object_add(object, "findings", doctor->findings);
		text_print_json(object);
	}
	return doctor->no_count ? STATUS_FAILED : STATUS_OK;
}

int doctor_main(int argc, char **argv)
{
	struct doctor doctor = {0};
	int status;

	if (!usage_read_json_option(argc, argv, &doctor.is_json, &status))
		return status;
	if (argc - optind > 1)
		return usage_refuse(argv[0], "one PROG is taken, %d are given", argc - optind);
	if (doctor.is_json)
		doctor.findings = json_object_new_array();
	if (optind < argc)
		doctor_look_at_program(&doctor, argv[optind]);
	doctor_look_at_installation(&doctor);
	doctor_look_at_machine(&doctor);
	doctor_look_at_namespaces(&doctor);
	doctor_look_at_limits(&doctor);
	doctor_look_at_place(&doctor);
	return doctor_finish(&doctor);
}
