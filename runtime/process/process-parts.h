/* What process.c and resume.c tell each other. */
#pragma once

#include "process.h"

struct process_self {
	struct process_plan plan;
	char *ledgers[2];  /* what was staged last, and what is being written */
	size_t lens[2];
	unsigned newest;
	uint32_t life; /* random: no other process has it */
	bool has_ended;
	int32_t status;
	uint32_t outputs_known; /* how long output was at the last run's death: control.h */
	uint64_t output_bytes[3];
	/* The image that is there: resume.c. */
	char *directory;
	struct ledger_reader image;
};
extern struct process_self process_self;
