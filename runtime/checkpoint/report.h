/*
 * Report: what the committer tells the world through the control page, and the lines it prints.
 * Room-private; the committer's alone.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control.h"

struct checkpoint;
struct committer_plan;
struct cut_report;

#define REPORT_BUCKETS 512 /* 16 an octave */

struct histogram {
	uint64_t counts[REPORT_BUCKETS];
	uint64_t count;
	uint32_t max_us;
};

struct report {
	struct control *control;
	const char *pool;
	struct control_status status;
	struct histogram pause, commit;
	uint64_t cut_unix_ns; /* of the newest cut */
	bool told_forced, told_given_up, told_veto;
	bool is_given_up; /* VETOED because the last cut was given up */
	uint64_t veto_since_ns; /* 0: there is none */
	bool told_damage, told_tend;
};

void report_open(struct report *report, const struct committer_plan *plan);
/* After cut_stop(), whatever it returned. */
void report_cut(struct report *report, const struct cut_report *cut, int status);
/* What of the process cannot be kept; NULL: nothing. */
void report_veto(struct report *report, const char *why);
void report_skipped(struct report *report);
void report_instant(struct report *report, uint64_t unix_ns); /* everybody stands */
void report_pause(struct report *report, uint64_t pause_ns);
/* Everybody stood, and there is no image all the same. */
void report_failed(struct report *report, int error);
/* After a commit of that many pages, of the newest instant. */
void report_commit(struct report *report, int error, size_t pages, uint64_t commit_ns);
/* report_publish() - into the control page */
void report_publish(struct report *report, const struct checkpoint *checkpoint);
