/* `heapsake doctor`: one line a fact about this machine, a directory or a program. */
#pragma once

#include <stdbool.h>

enum verdict {
	VERDICT_OK,
	VERDICT_WARN, /* works, with less than the best */
	VERDICT_NO,   /* heapsake does not work here */
};

struct doctor {
	bool is_json;
	struct json_object *findings; /* with is_json */
	unsigned no_count;
};

/* doctor_tell() - one finding; remedy NULL: none is needed, or there is none */
void doctor_tell(struct doctor *doctor, enum verdict verdict, const char *what,
		 const char *remedy, const char *format, ...)
	__attribute__((format(printf, 5, 6)));

/* The parts of the examination, one file each. */
void doctor_look_at_machine(struct doctor *doctor);
void doctor_look_at_namespaces(struct doctor *doctor);
void doctor_look_at_limits(struct doctor *doctor);
void doctor_look_at_directory(struct doctor *doctor, const char *path);
void doctor_look_at_program(struct doctor *doctor, const char *name);
