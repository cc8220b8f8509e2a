/* What process.c and resume.c tell each other. */
#pragma once

#include "process.h"

struct process_self {
	struct process_plan plan;
	char *ledgers[2];  /* what was staged last, and what is being written */
	size_t lens[2];
	unsigned newest;
	bool has_ended;
	int32_t status;
	/* The image that is there: resume.c. */
	char *directory;
	struct ledger_reader image;
};
extern struct process_self process_self;
