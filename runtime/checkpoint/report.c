/*
 * The problem: how keeping goes must be known outside, while it goes on, and a user must hear of
 * trouble once, not at every interval. The trick: one struct, filled step by step by the committer
 * and published whole after each epoch; times as histograms of 16 buckets an octave, so that p99 is
 * right to 6 percent at no cost. The guarantee: while the state is OK, everything stored before
 * epoch_unix_ns is durable, and nothing later is if dirty_unix_ns is 0. That it is 0 takes a look
 * that has found nothing, and another that will come by itself.
 */
#include "report.h"

#include <errno.h>

#include "checkpoint.h"
#include "committer.h"
#include "cut.h"
#include "line.h"
#include "os.h"
#include "pool.h"
#include "say.h"
#include "track.h"

#define TELL_VETO_NS UINT64_C(1000000000)

static unsigned bucket_of(uint64_t us)
{
	if (us < 32)
		return (unsigned)us;
	const unsigned msb = 63 - (unsigned)__builtin_clzll(us);
	const unsigned bucket = (msb - 4) * 16 + ((us >> (msb - 4)) & 15) + 16;
	return bucket < REPORT_BUCKETS ? bucket : REPORT_BUCKETS - 1;
}

static uint32_t bucket_us(unsigned bucket)
{
	if (bucket < 32)
		return bucket;
	const unsigned msb = (bucket - 16) / 16 + 4;
	const uint64_t us = ((uint64_t)16 + (bucket & 15)) << (msb - 4);
	return us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
}

static void histogram_add(struct histogram *histogram, uint64_t ns)
{
	const uint64_t us = ns / 1000;

	histogram->counts[bucket_of(us)]++;
	histogram->count++;
	if (us > histogram->max_us)
		histogram->max_us = us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
}

static uint32_t histogram_at(const struct histogram *histogram, unsigned percent)
{
	uint64_t left = (histogram->count * percent + 99) / 100;

	for (unsigned i = 0; i < REPORT_BUCKETS; i++) {
		if (left <= histogram->counts[i])
			return left ? bucket_us(i) : 0;
		left -= histogram->counts[i];
	}
	return histogram->max_us;
}

static struct control_times times_of(const struct histogram *histogram)
{
	return (struct control_times){
		.p50_us = histogram_at(histogram, 50),
		.p99_us = histogram_at(histogram, 99),
		.max_us = histogram->max_us,
	};
}

static void say_line_of(const struct report *report, const char *text, const char *detail)
{
	char buffer[512];
	struct line line = line_in(buffer, sizeof(buffer));

	if (!say_has_level(SAY_WARN))
		return;
	line_add(&line, "heapsake: ");
	line_add(&line, report->pool);
	line_add(&line, ": ");
	line_add(&line, text);
	line_add(&line, detail);
	line_add(&line, "\n");
	say_to_stderr(buffer, line.len);
}

void report_open(struct report *report, const struct committer_plan *plan)
{
	struct checkpoint_info info;

	checkpoint_info(plan->checkpoint, &info);
	*report = (struct report){
		.control = plan->pool->control,
		.pool = plan->pool->path,
		.status = {
			.epoch = info.epoch,
			.dirty_unix_ns = os_clock_ns(CLOCK_REALTIME), /* the first look will tell */
			.oldest_epoch = info.oldest_epoch,
			.durability = plan->durability,
			.tracker = plan->track->kind,
			.interval_ns = plan->interval_ns,
		},
	};
	control_publish(report->control, &report->status);
}

static void set_why(struct report *report, const char *why)
{
	struct line line = line_in(report->status.why, sizeof(report->status.why));

	line_add(&line, why);
}

/* As long as nobody who holds it off lets go, there is no epoch: that is not OK. */
static void give_up(struct report *report, const char *culprit)
{
	report->status.counters.given_up++;
	if (report->status.state == CONTROL_OK && culprit[0]) {
		report->status.state = CONTROL_VETOED;
		report->is_given_up = true;
	}
	if (report->is_given_up && culprit[0])
		set_why(report, culprit);
}

static void go_on(struct report *report)
{
	if (report->is_given_up && report->status.state == CONTROL_VETOED)
		report->status.state = CONTROL_OK;
	report->is_given_up = false;
	if (report->status.state == CONTROL_OK)
		set_why(report, "");
}

void report_cut(struct report *report, const struct cut_report *cut, int status)
{
	if (report->status.lifelong_locks != cut->lifelong) {
		struct line line = line_in(report->status.lifelong, sizeof(report->status.lifelong));
		cut_name_lifelong(&line);
	}
	report->status.lifelong_locks = cut->lifelong;
	report->status.counters.forced += cut->forced;
	if (cut->forced && !report->told_forced) {
		report->told_forced = true;
		say_line_of(report, "a thread was stopped in the middle of its work for an epoch; "
			    "put what belongs together into HSK_TX or under a lock", "");
	}
	if (status == 0) {
		go_on(report);
		return;
	}
	give_up(report, cut->culprit);
	if (report->status.dirty_unix_ns == 0)
		report->status.dirty_unix_ns = os_clock_ns(CLOCK_REALTIME);
	if (!report->told_given_up && cut->culprit[0]) {
		report->told_given_up = true;
		say_line_of(report, "no epoch can be taken: ", cut->culprit);
	}
}

/* Some are over at the next try: a signal that comes this instant. Nobody need hear of those. */
static void tell_veto(struct report *report, const char *why)
{
	const uint64_t now_ns = os_clock_ns(CLOCK_MONOTONIC);

	if (report->veto_since_ns == 0)
		report->veto_since_ns = now_ns;
	if (report->told_veto || now_ns - report->veto_since_ns < TELL_VETO_NS)
		return;
	say_line_of(report, "no epoch can be taken as long as there is ", why);
	report->told_veto = true;
}

void report_veto(struct report *report, const char *why)
{
	if (why) {
		report->status.state = CONTROL_VETOED;
		set_why(report, why);
		if (report->status.dirty_unix_ns == 0)
			report->status.dirty_unix_ns = report->cut_unix_ns;
		tell_veto(report, why);
	} else if (report->status.state == CONTROL_VETOED) {
		report->status.state = CONTROL_OK;
		set_why(report, "");
		report->told_veto = false;
		report->veto_since_ns = 0;
	}
}

void report_skipped(struct report *report)
{
	report->status.counters.skipped++;
	if (report->status.dirty_unix_ns == 0)
		report->status.dirty_unix_ns = report->cut_unix_ns;
}

void report_instant(struct report *report, uint64_t unix_ns)
{
	report->cut_unix_ns = unix_ns;
}

/* Each one, for who looks for a long one: a histogram does not say when it was. */
static void tell_pause(const struct report *report, uint64_t pause_ns)
{
	char buffer[512];
	struct line line = line_in(buffer, sizeof(buffer));

	line_add(&line, "heapsake: ");
	line_add(&line, report->pool);
	line_add(&line, ": paused for ");
	line_add_number(&line, pause_ns / 1000, 10);
	line_add(&line, " us\n");
	say_to_stderr(buffer, line.len);
}

void report_pause(struct report *report, uint64_t pause_ns)
{
	histogram_add(&report->pause, pause_ns);
	if (say_has_level(SAY_DEBUG))
		tell_pause(report, pause_ns);
}

static const char *error_text(int error)
{
	return error == -ESTALE		      ? "its file has been removed" :
	       error == CHECKPOINT_E_DAMAGED ? "what is on media is damaged" :
					       "the pool cannot be written";
}

static void degrade(struct report *report, int error, const char *what)
{
	char text[192];
	struct line line = line_in(text, sizeof(text));

	line_add(&line, what);
	if (error < 0) {
		line_add(&line, ": ");
		line_add_error(&line, error);
	}
	line_add(&line, "; the last epoch stands");
	if (report->status.state != CONTROL_DEGRADED)
		say_line_of(report, text, "");
	report->status.state = CONTROL_DEGRADED;
	report->status.error = error < 0 ? -error : EIO;
	set_why(report, text);
}

void report_failed(struct report *report, int error)
{
	degrade(report, error, "what has changed in memory cannot be found");
	if (report->status.dirty_unix_ns == 0)
		report->status.dirty_unix_ns = report->cut_unix_ns;
}

void report_commit(struct report *report, int error, size_t pages, uint64_t commit_ns)
{
	struct control_status *status = &report->status;

	if (error) {
		degrade(report, error, error_text(error));
		if (status->dirty_unix_ns == 0)
			status->dirty_unix_ns = report->cut_unix_ns;
		return;
	}
	if (status->state == CONTROL_DEGRADED) {
		say_line_of(report, "epochs are durable again", "");
		status->state = CONTROL_OK;
		status->error = 0;
		set_why(report, "");
	}
	if (pages)
		histogram_add(&report->commit, commit_ns);
	status->epoch_unix_ns = report->cut_unix_ns;
	/* It goes on storing, we suppose; and in any case, if nobody looks before somebody asks. */
	status->dirty_unix_ns = pages || !status->interval_ns ? report->cut_unix_ns : 0;
}

/* ---- Damage at rest ---- */

static void add_sum(struct line *line, uint64_t sum)
{
	char digits[17];

	for (int i = 15; i >= 0; i--, sum /= 16)
		digits[i] = "0123456789abcdef"[sum % 16];
	digits[16] = 0;
	line_add(line, digits);
}

static void add_damage(struct line *line, const struct checkpoint_info *info)
{
	line_add(line, "the page at offset ");
	line_add_number(line, info->damage.file_offset, 10);
	line_add(line, " of the file ");
	if (info->damage_error) {
		line_add(line, "cannot be read: ");
		line_add_error(line, info->damage_error);
	} else {
		line_add(line, "is damaged: checksum expected ");
		add_sum(line, info->damage.expected);
		line_add(line, ", found ");
		add_sum(line, info->damage.found);
	}
	if (info->damaged_pages > 1) {
		line_add(line, ", and more like it: ");
		line_add_number(line, info->damaged_pages - 1, 10);
	}
}

/* Of many, one line: they are found one by one. `why` has their number. */
static void tell_damage(struct report *report, const struct checkpoint_info *info, const char *text)
{
	const bool is_damaged = info->damaged_pages != 0;

	if (is_damaged && !report->told_damage)
		say_line_of(report, text, "; epochs go on, and it is logged again if memory still has it; "
			    "look at the disk, and at 'heapsake info'");
	else if (!is_damaged && report->told_damage)
		say_line_of(report, "no page of the file is known to be damaged any more", "");
	report->told_damage = is_damaged;
}

/* ---- A log that only grows ---- */

static void tell_tend(struct report *report, const struct checkpoint_info *info, const char *text)
{
	if (info->tend_error && !report->told_tend)
		say_line_of(report, text, "; epochs go on as long as there is room; look at the disk");
	else if (!info->tend_error && report->told_tend)
		say_line_of(report, "the log is emptied again", "");
	report->told_tend = info->tend_error != 0;
}

/* ---- All of it ---- */

static void shown_as(struct control_status *shown, enum control_state state, const char *why)
{
	struct line line = line_in(shown->why, sizeof(shown->why));

	shown->state = state;
	line_add(&line, why);
}

/* What keeps epochs off now is shown first. */
static void publish(struct report *report, const struct checkpoint_info *info)
{
	struct control_status shown = report->status;
	char damage[sizeof(shown.why)], tend[sizeof(shown.why)];
	struct line line = line_in(damage, sizeof(damage));

	if (info->damaged_pages)
		add_damage(&line, info);
	tell_damage(report, info, damage);
	line = line_in(tend, sizeof(tend));
	if (info->tend_error) {
		line_add(&line, "the log cannot be emptied, and grows: ");
		line_add_error(&line, info->tend_error);
	}
	tell_tend(report, info, tend);
	if (shown.state == CONTROL_OK && info->damaged_pages) {
		shown_as(&shown, CONTROL_CORRUPT, damage);
	} else if (shown.state == CONTROL_OK && info->tend_error) {
		shown_as(&shown, CONTROL_DEGRADED, tend);
		shown.error = -info->tend_error;
	}
	control_publish(report->control, &shown);
}

void report_publish(struct report *report, const struct checkpoint *checkpoint)
{
	struct control_status *status = &report->status;
	struct checkpoint_info info;

	checkpoint_info(checkpoint, &info);
	status->epoch = info.epoch;
	status->oldest_epoch = info.oldest_epoch;
	status->log_bytes = info.log_bytes;
	status->counters.epochs = info.epochs;
	status->counters.pages = info.pages;
	status->counters.log_bytes = info.record_bytes;
	status->counters.user_bytes = info.user_bytes;
	status->counters.home_bytes = info.home_bytes;
	status->pause = times_of(&report->pause);
	status->commit = times_of(&report->commit);
	publish(report, &info);
}
