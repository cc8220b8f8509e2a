/*
 * The problem: a program wants to go on while its memory is written down, many times a second. The
 * trick: most of a dirty set is copied while the program runs; it stands still only while the rest
 * is found and copied; comparing, checksums and the disk come after. The guarantee: what an epoch
 * holds is the memory of one instant, at which every thread stood where DESIGN 2.2 lets it be
 * taken; an epoch that fails is taken again, with everything that was in it.
 */
#include "attempt.h"

#include <errno.h>

#include "cut.h"
#include "dirty.h"
#include "os.h"
#include "pool.h"
#include "track.h"
#include "waiters.h"

#define RETAIN_NS UINT64_C(10000000000)
#define SKIPS_MAX 2
#define AGAIN_NS UINT64_C(1000000)
#define AGAIN_DOUBLED_MAX 7u /* to 128 ms */
#define PRECOPY_AFTER_NS UINT64_C(10000000) /* nothing much is dirty so soon after an epoch */

/* ---- Forked children ---- */

/* What is in home stays as it is while one shows it, and what this run went on from can be had
 * back for its first seconds: by then it is known whether it was fit to live. */
static unsigned hold_now(void)
{
	const uint64_t lived_ns = os_clock_ns(CLOCK_MONOTONIC) - committer.began_ns;
	const bool is_shown = pool_fd(committer.plan.pool) < 0 || pool_has_views(committer.plan.pool);

	return (is_shown ? CHECKPOINT_STILL : 0u) | (lived_ns < RETAIN_NS ? CHECKPOINT_RETAIN : 0u);
}

static void hold(void)
{
	committer.lends = pool_lends(committer.plan.pool);
	checkpoint_hold(committer.plan.checkpoint, hold_now());
}

/* Pages have been told, some of which may go home. Those stored to before a fork are private memory
 * in parent and child; of others a child forked before they were told shows home, so if there was a
 * fork, look again. Who is forked after this has all of them private. */
void attempt_hold_again(void)
{
	if (pool_lends(committer.plan.pool) != committer.lends)
		hold();
}

/* ---- Epochs ---- */

static int commit(void)
{
	size_t count;
	bool is_pointed;
	uint64_t epoch;
	const uint64_t began_ns = os_clock_ns(CLOCK_MONOTONIC);
	const struct checkpoint_page *pages = dirty_pages(&count, &is_pointed);
	if (count && committer.plan.memory && committer.plan.durability == DURABILITY_MEDIA)
		committer.plan.memory->sync();
	attempt_hold_again();
	const bool is_removed = pool_is_removed(committer.plan.pool);
	const int error = is_removed ? -ESTALE :
			  checkpoint_commit(committer.plan.checkpoint, pages, count, &epoch);

	if (!error)
		atomic_store_explicit(&committer.epoch, epoch, memory_order_release);
	if (is_removed) /* the engine keeps its drafts */
		dirty_unpoint();
	else
		dirty_settle(!error);
	report_commit(&committer.report, error, count, os_clock_ns(CLOCK_MONOTONIC) - began_ns);
	return error;
}

bool attempt_is_asked(void)
{
	uint32_t request;

	return waiters_are_there() || control_pending(committer.plan.pool->control, &request);
}

static int stop_all(struct cut_report *ret_cut)
{
	if (!committer.plan.memory)
		return cut_stop(committer.plan.interval_ns, ret_cut);
	*ret_cut = (struct cut_report){.closed_ns = os_clock_ns(CLOCK_MONOTONIC)};
	return committer.plan.memory->stop(ret_cut->culprit) ? CUT_E_GIVEN_UP : 0;
}

static void release_all(struct cut_report *cut)
{
	if (!committer.plan.memory) {
		cut_release(cut);
		return;
	}
	committer.plan.memory->release();
	cut->pause_ns = os_clock_ns(CLOCK_MONOTONIC) - cut->closed_ns;
}

/* Everything that is kept of this instant. What is vetoed stays staged for a later one. */
static int collect_all(bool may_point)
{
	const struct committer_memory *memory = committer.plan.memory;
	char why[192];
	int error = memory ? memory->meet() : 0;

	if (!error)
		error = dirty_collect(may_point);
	if (error < 0 && error != -EAGAIN && !memory) /* of a process it is tried again */
		report_failed(&committer.report, error);
	if (error || !memory)
		return error;
	const bool is_fine = memory->describe(!dirty_is_empty(), why);
	report_veto(&committer.report, is_fine ? NULL : why);
	return is_fine ? 0 : DIRTY_E_VETOED;
}

/* All threads stand. What did not fit is committed before they go on. */
static int take_image(bool may_point, bool *ret_is_committed)
{
	size_t count;
	bool is_pointed;

	committer.last_cut_ns = os_clock_ns(CLOCK_MONOTONIC);
	report_instant(&committer.report, os_clock_ns(CLOCK_REALTIME));
	if (committer.plan.at_cut)
		committer.plan.at_cut();
	int error = collect_all(may_point);
	dirty_pages(&count, &is_pointed);
	if (error && is_pointed) /* what is pointed at changes as soon as they go on */
		dirty_unpoint();
	*ret_is_committed = !error && (is_pointed || committer.plan.verify);
	if (*ret_is_committed)
		error = commit();
	if (!error && committer.plan.verify)
		committer.plan.verify();
	return error;
}

/*
 * The instant. On return everybody runs again. 0: the image is staged, or committed already;
 * -EAGAIN: there is none. More may be dirty than may be held in copies: twice it is put off, in the
 * hope of a quieter time; then it is taken all the same, and everybody stands while it is written.
 */
static int take_cut(uint32_t *ret_ticket, bool *ret_is_committed)
{
	const bool may_point = committer.skips == SKIPS_MAX || attempt_is_asked() ||
			       !track_can_run(committer.plan.track);
	struct cut_report cut;
	const int status = stop_all(&cut);

	report_cut(&committer.report, &cut, status);
	if (status == CUT_E_DEADLOCK) /* one of them must stop waiting */
		waiters_ring();
	if (status)
		return -EAGAIN;
	*ret_ticket = waiters_newest();
	const int error = take_image(may_point, ret_is_committed);
	release_all(&cut);
	report_pause(&committer.report, cut.pause_ns);
	committer.pause_ns[1] = committer.pause_ns[0];
	committer.pause_ns[0] = cut.pause_ns;
	committer.skips = error == DIRTY_E_TOO_MUCH ? committer.skips + 1 : 0;
	if (error == DIRTY_E_TOO_MUCH)
		report_skipped(&committer.report);
	return error == DIRTY_E_TOO_MUCH || error == DIRTY_E_VETOED ? -EAGAIN : error;
}

static void precopy(void)
{
	if (committer.plan.memory)
		committer.plan.memory->prepare();
	dirty_precopy();
}

/* What is in the way may be gone in a moment, or stay for days. */
static void come_again(void)
{
	committer.again_ns = os_clock_ns(CLOCK_MONOTONIC) + (AGAIN_NS << committer.in_vain);
	committer.in_vain += committer.in_vain < AGAIN_DOUBLED_MAX;
}

void attempt_make(void)
{
	uint32_t ticket = 0, request;
	bool is_committed = false;
	const bool is_requested = control_pending(committer.plan.pool->control, &request);

	hold();
	if (is_requested ||
	    os_clock_ns(CLOCK_MONOTONIC) - committer.last_cut_ns > PRECOPY_AFTER_NS)
		precopy();
	int error = take_cut(&ticket, &is_committed);
	if (error == -EAGAIN) { /* who waits goes on waiting, for the next attempt */
		come_again();
		return;
	}
	committer.in_vain = 0;
	if (!error && !is_committed)
		error = commit();
	report_publish(&committer.report, committer.plan.checkpoint); /* who waited may look at once */
	waiters_settle(ticket, error);
	if (is_requested)
		control_answer(committer.plan.pool->control, request, error < 0 ? -error : error ? EIO : 0);
}
