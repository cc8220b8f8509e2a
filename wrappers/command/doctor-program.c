/* What `heapsake doctor PROG` says of a program: the same look as `run` takes, told in full. */
#include "doctor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "program.h"
#include "script.h"

static void doctor_tell_kind(struct doctor *doctor, const struct program *program)
{
	char machine[32];

	switch (program->kind) {
	case PROGRAM_ELF:
		doctor_tell(doctor, VERDICT_OK, "program", NULL, "%s, %s, %s%s%s",
			    program->path, program_machine_name(program->machine, machine),
			    program->is_pie ? "position-independent" : "at a fixed address",
			    program->allocator[0] ? ", linked with " : "", program->allocator);
		break;
	case PROGRAM_SCRIPT:
		doctor_tell(doctor, VERDICT_OK, "program", NULL, "%s, a script for %s%s%s",
			    program->path, program->interpreter,
			    program->argument[0] ? " " : "", program->argument);
		break;
	case PROGRAM_OTHER:
		doctor_tell(doctor, VERDICT_OK, "program", NULL,
			    "%s, of no known format: left to /bin/sh", program->path);
		break;
	case PROGRAM_UNREADABLE:
		doctor_tell(doctor, VERDICT_WARN, "program",
			    "look with 'heapsake info' while it runs",
			    "%s may not be read, so nothing is known of it", program->path);
		break;
	}
}

static void doctor_tell_allocator(struct doctor *doctor, const struct program *program)
{
	if (program->kind != PROGRAM_ELF)
		return;
	if (program->defines_malloc)
		doctor_tell(doctor, VERDICT_WARN, "malloc",
			    "use -k process, or build it without its own allocator",
			    "%s defines its own, which no preload replaces: it cannot be in a pool, and "
			    "is kept with the whole process only", program->path);
	else if (program->allocator[0])
		doctor_tell(doctor, VERDICT_WARN, "malloc", NULL,
			    "%s is replaced; what it hands out by names of its own is not in "
			    "the pool",
			    program->allocator);
}

/* What `run` would refuse, in its words. */
static void doctor_tell_preload(struct doctor *doctor, const char *name, const char *path)
{
	char *argv[] = {(char *)name, NULL};
	struct script_command command = {.argv = argv};
	struct program_traits traits;
	struct refusal why;

	snprintf(command.path, sizeof(command.path), "%s", path);
	if (script_skip_env(&command, &why) != 0 ||
	    program_check(command.path, &traits, &why) != 0)
		doctor_tell(doctor, VERDICT_NO, "preload", NULL, "%s", why.line);
	else if (traits.unkept)
		doctor_tell(doctor, VERDICT_WARN, "keep process", "use -k none", "%s %s", command.path,
			    traits.unkept);
	else
		doctor_tell(doctor, VERDICT_OK, "preload", NULL, "the library gets into %s%s",
			    command.path, traits.is_linked ? ", which is linked with it" : "");
}

void doctor_look_at_program(struct doctor *doctor, const char *name)
{
	struct program *program = malloc(sizeof(*program));
	char path[PATH_MAX];
	int error = program ? program_find(name, path) : -ENOMEM;

	if (error) {
		doctor_tell(doctor, VERDICT_NO, "program", "give its path", "%s: %s", name,
			    strerror(-error));
		free(program);
		return;
	}
	doctor_tell_preload(doctor, name, path);
	for (int depth = 0; depth < PROGRAM_DEPTH_MAX && program_read(program, path) == 0;
	     depth++) {
		doctor_tell_kind(doctor, program);
		doctor_tell_allocator(doctor, program);
		if (!program_next(program, path))
			break;
	}
	free(program);
}
