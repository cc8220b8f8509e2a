/*
 * The problem: a program wants to go on while its memory is written down, many times a second, and
 * whoever asks for durability wants it now. The trick: most of a dirty set is copied while the
 * program runs; it stands still only while the rest is found and copied; comparing, checksums and
 * the disk come after. One epoch serves everybody who asked before its cut. The guarantee: what
 * an epoch holds is the memory of one instant, at which every thread stood where DESIGN 2.2 lets
 * it be taken; an epoch that fails is taken again, with everything that was in it.
 *
 * What is dirty: dirty.c. Who waits: waiters.c. What is told of it: report.c.
 */
#include "committer.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "cut.h"
#include "dirty.h"
#include "lock.h"
#include "os.h"
#include "ours.h"
#include "pool.h"
#include "report.h"
#include "track.h"
#include "waiters.h"

#define STACK_BYTES (UINT64_C(256) << 10)
#define IDLE_NS UINT64_C(1000000000)
#define RETAIN_NS UINT64_C(10000000000)
#define SKIPS_MAX 2
#define LAST_TEND_NS 200000000
#define PATROL_PACE_NS UINT64_C(20000000) /* a MiB each time: 50 MiB/s at most */
#define PATROL_STEPS 4
#define PATROL_FIRST_NS UINT64_C(1000000000) /* who has just started has other things to read */
#define PATROL_AGAIN_NS (UINT64_C(24) * 3600 * 1000000000)
#define END_LOOK_NS 100000000
#define PRESSED_RUNS 2
#define COMPARED_RUNS 50 /* times as long as it stands, where every page is copied meanwhile */
#define PRECOPY_AFTER_NS UINT64_C(10000000) /* nothing much is dirty so soon after an epoch */

static struct {
	struct committer_plan plan;
	struct report report;
	struct lock lock; /* regions, tracker, engine: held but while sleeping */
	_Atomic bool is_open;
	_Atomic bool is_started;
	_Atomic bool is_over; /* no epoch any more */
	_Atomic uint64_t epoch;
	uint64_t began_ns;
	uint64_t last_cut_ns;
	uint64_t pause_ns[2]; /* the last two */
	unsigned skips; /* in a row */
	uint32_t lends; /* of the pool, before it was asked for views */
	uint64_t patrol_due_ns;
	uint32_t alive; /* the thread: os_thread_start() */
} self OURS;

/* ---- Forked children ---- */

/* What is in home stays as it is while one shows it, and what this run went on from can be had
 * back for its first seconds: by then it is known whether it was fit to live. */
static unsigned hold_now(void)
{
	const uint64_t lived_ns = os_clock_ns(CLOCK_MONOTONIC) - self.began_ns;
	const bool is_shown = pool_fd(self.plan.pool) < 0 || pool_has_views(self.plan.pool);

	return (is_shown ? CHECKPOINT_STILL : 0u) | (lived_ns < RETAIN_NS ? CHECKPOINT_RETAIN : 0u);
}

static void hold(void)
{
	self.lends = pool_lends(self.plan.pool);
	checkpoint_hold(self.plan.checkpoint, hold_now());
}

/* Pages have been told, some of which may go home. Those stored to before a fork are private memory
 * in parent and child; of others a child forked before they were told shows home, so if there was a
 * fork, look again. Who is forked after this has all of them private. */
static void hold_again(void)
{
	if (pool_lends(self.plan.pool) != self.lends)
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
	if (count && self.plan.memory && self.plan.durability == DURABILITY_MEDIA)
		self.plan.memory->sync();
	hold_again();
	const int error = pool_is_removed(self.plan.pool) ? -ESTALE :
			  checkpoint_commit(self.plan.checkpoint, pages, count, &epoch);

	if (!error)
		atomic_store_explicit(&self.epoch, epoch, memory_order_release);
	dirty_settle(!error);
	report_commit(&self.report, error, count, os_clock_ns(CLOCK_MONOTONIC) - began_ns);
	return error;
}

static bool is_asked(void)
{
	uint32_t request;

	return waiters_are_there() || control_pending(self.plan.pool->control, &request);
}

static int stop_all(struct cut_report *ret_cut)
{
	if (!self.plan.memory)
		return cut_stop(self.plan.interval_ns, ret_cut);
	*ret_cut = (struct cut_report){.closed_ns = os_clock_ns(CLOCK_MONOTONIC)};
	return self.plan.memory->stop(ret_cut->culprit) ? CUT_E_GIVEN_UP : 0;
}

static void release_all(struct cut_report *cut)
{
	if (!self.plan.memory) {
		cut_release(cut);
		return;
	}
	self.plan.memory->release();
	cut->pause_ns = os_clock_ns(CLOCK_MONOTONIC) - cut->closed_ns;
}

/* Everything that is kept of this instant. What is vetoed stays staged for a later one. */
static int collect_all(bool may_point)
{
	const struct committer_memory *memory = self.plan.memory;
	char why[192];
	int error = memory ? memory->meet() : 0;

	if (!error)
		error = dirty_collect(may_point);
	if (error < 0 && error != -EAGAIN && !memory) /* of a process it is tried again */
		report_failed(&self.report, error);
	if (error || !memory)
		return error;
	const bool is_fine = memory->describe(!dirty_is_empty(), why);
	report_veto(&self.report, is_fine ? NULL : why);
	return is_fine ? 0 : DIRTY_E_VETOED;
}

/* All threads stand. What did not fit is committed before they go on. */
static int take_image(bool may_point, bool *ret_is_committed)
{
	size_t count;
	bool is_pointed;

	self.last_cut_ns = os_clock_ns(CLOCK_MONOTONIC);
	report_instant(&self.report, os_clock_ns(CLOCK_REALTIME));
	if (self.plan.at_cut)
		self.plan.at_cut();
	const int error = collect_all(may_point);
	dirty_pages(&count, &is_pointed);
	if (error && is_pointed) /* what is pointed at changes as soon as they go on */
		dirty_settle(false);
	*ret_is_committed = !error && is_pointed;
	return *ret_is_committed ? commit() : error;
}

/*
 * The instant. On return everybody runs again. 0: the image is staged, or committed already;
 * -EAGAIN: there is none. More may be dirty than may be held in copies: twice it is put off, in the
 * hope of a quieter time; then it is taken all the same, and everybody stands while it is written.
 */
static int take_cut(uint32_t *ret_ticket, bool *ret_is_committed)
{
	const bool may_point = self.skips == SKIPS_MAX || is_asked() || !track_can_run(self.plan.track);
	struct cut_report cut;
	const int status = stop_all(&cut);

	report_cut(&self.report, &cut, status);
	if (status == CUT_E_DEADLOCK) /* one of them must stop waiting */
		waiters_ring();
	if (status)
		return -EAGAIN;
	*ret_ticket = waiters_newest();
	const int error = take_image(may_point, ret_is_committed);
	release_all(&cut);
	report_pause(&self.report, cut.pause_ns);
	self.pause_ns[1] = self.pause_ns[0];
	self.pause_ns[0] = cut.pause_ns;
	self.skips = error == DIRTY_E_TOO_MUCH ? self.skips + 1 : 0;
	if (error == DIRTY_E_TOO_MUCH)
		report_skipped(&self.report);
	return error == DIRTY_E_TOO_MUCH || error == DIRTY_E_VETOED ? -EAGAIN : error;
}

static void precopy(void)
{
	if (self.plan.memory)
		self.plan.memory->prepare();
	dirty_precopy();
}

static void make_epoch(void)
{
	uint32_t ticket = 0, request;
	bool is_committed = false;
	const bool is_requested = control_pending(self.plan.pool->control, &request);

	if (os_clock_ns(CLOCK_MONOTONIC) - self.last_cut_ns > PRECOPY_AFTER_NS)
		precopy();
	int error = take_cut(&ticket, &is_committed);
	if (error == -EAGAIN) /* who waits goes on waiting, for the next attempt */
		return;
	if (!error && !is_committed)
		error = commit();
	report_publish(&self.report, self.plan.checkpoint); /* who waited may look at once */
	waiters_settle(ticket, error);
	if (is_requested)
		control_answer(self.plan.pool->control, request, error < 0 ? -error : error ? EIO : 0);
}

/* ---- The thread ---- */

/* A little of what is at rest is compared with what was committed. */
static void patrol(void)
{
	struct checkpoint_info before, after;
	int status = CHECKPOINT_MORE;

	lock_acquire(&self.lock);
	checkpoint_info(self.plan.checkpoint, &before);
	for (unsigned i = 0; status == CHECKPOINT_MORE && i < PATROL_STEPS && !is_asked(); i++)
		status = checkpoint_patrol(self.plan.checkpoint, dirty_mend);
	checkpoint_info(self.plan.checkpoint, &after);
	if (before.damaged_pages != after.damaged_pages)
		report_publish(&self.report, self.plan.checkpoint);
	lock_release(&self.lock);
	self.patrol_due_ns = os_clock_ns(CLOCK_MONOTONIC) +
			     (status == CHECKPOINT_MORE ? PATROL_PACE_NS : PATROL_AGAIN_NS);
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Until the next epoch is due, somebody asks, or all is over. */
static void sleep_until(uint64_t due_ns)
{
	for (;;) {
		const uint32_t rung = control_doorbell(self.plan.pool->control);
		const uint64_t now_ns = os_clock_ns(CLOCK_MONOTONIC);
		if (is_asked() || self.is_over || now_ns >= due_ns)
			return;
		if (now_ns >= self.patrol_due_ns)
			patrol();
		else
			control_sleep(self.plan.pool->control, rung,
				      least(least(due_ns, self.patrol_due_ns) - now_ns, IDLE_NS));
	}
}

/* As long as nobody waits and nothing is due; or, if there never is time for it and the disk would
 * be full in the end, for some times as long as the epoch took that is to be made room for. */
static bool may_tend(uint64_t until_ns, uint64_t epoch_ns, uint64_t begun_ns)
{
	const uint64_t now_ns = os_clock_ns(CLOCK_MONOTONIC);

	return (!is_asked() && now_ns < until_ns) ||
	       (now_ns - begun_ns < PRESSED_RUNS * epoch_ns &&
		checkpoint_is_pressed(self.plan.checkpoint));
}

/* Housekeeping in pieces. */
static void tend(uint64_t until_ns, uint64_t epoch_ns)
{
	const uint64_t begun_ns = os_clock_ns(CLOCK_MONOTONIC);
	int status = CHECKPOINT_MORE;

	while (status == CHECKPOINT_MORE && may_tend(until_ns, epoch_ns, begun_ns)) {
		lock_acquire(&self.lock);
		status = checkpoint_tend(self.plan.checkpoint);
		lock_release(&self.lock);
	}
}

/* One long pause is an accident, or the first. */
static uint64_t interval_now_ns(void)
{
	const uint64_t pause_ns = self.pause_ns[0] < self.pause_ns[1] ? self.pause_ns[0]
								      : self.pause_ns[1];
	const uint64_t least_ns = self.plan.track->kind == TRACK_COMPARE ? pause_ns * COMPARED_RUNS : 0;

	return self.plan.interval_ns > least_ns ? self.plan.interval_ns : least_ns;
}

static void run(void *argument)
{
	os_thread_set_name("heapsake");
	os_timer_slack_ns(1);
	self.began_ns = os_clock_ns(CLOCK_MONOTONIC);
	self.patrol_due_ns = self.began_ns + PATROL_FIRST_NS;
	uint64_t due_ns = self.began_ns;
	while (!self.is_over) {
		due_ns = self.plan.interval_ns ? due_ns + interval_now_ns() : UINT64_MAX;
		sleep_until(due_ns);
		const uint64_t now_ns = os_clock_ns(CLOCK_MONOTONIC);
		if (due_ns < now_ns) /* late: the next one is not earlier for it */
			due_ns = now_ns;
		lock_acquire(&self.lock);
		if (!self.is_over) {
			hold();
			make_epoch();
			report_publish(&self.report, self.plan.checkpoint);
		}
		lock_release(&self.lock);
		const uint64_t made_ns = os_clock_ns(CLOCK_MONOTONIC);
		tend(self.is_over ? made_ns + LAST_TEND_NS : due_ns + self.plan.interval_ns,
		     made_ns - now_ns);
	}
	checkpoint_finish(self.plan.checkpoint);
	waiters_settle(waiters_newest(), -ESHUTDOWN);
}

int committer_open(const struct committer_plan *plan)
{
	struct checkpoint_info info;

	self.plan = *plan;
	checkpoint_info(plan->checkpoint, &info);
	atomic_store(&self.epoch, info.epoch);
	waiters_open();
	report_open(&self.report, plan);
	const int error = dirty_open(&(struct dirty_plan){
		.checkpoint = plan->checkpoint,
		.track = plan->track,
		.regions = plan->regions,
		.region_count = plan->region_count,
		.staging_bytes = plan->staging_bytes,
		.memory = plan->memory,
		.before_draft = hold_again,
	});
	atomic_store_explicit(&self.is_open, !error, memory_order_release);
	return error;
}

int committer_start(void)
{
	const int error = os_thread_start(run, NULL, STACK_BYTES, &self.alive);

	self.is_started = !error;
	return error;
}

bool committer_is_open(void)
{
	return atomic_load_explicit(&self.is_open, memory_order_acquire);
}

uint64_t committer_epoch(void)
{
	return atomic_load_explicit(&self.epoch, memory_order_acquire);
}

int committer_note_zeros(uint64_t page, uint64_t page_count, bool is_mapped_anew)
{
	return committer_is_open() ? dirty_note_zeros(page, page_count, is_mapped_anew) : 0;
}

void committer_stage(uint32_t region_id, uint64_t page, const char *bytes)
{
	dirty_stage(region_id, page, bytes);
}

void committer_look_again(uint64_t page, uint64_t page_count)
{
	dirty_again(page, page_count);
}

uint32_t committer_scans(void)
{
	return dirty_scans();
}

void committer_note_stored(uint32_t scans, void *start, size_t len)
{
	if (committer_is_open())
		dirty_note_stored(scans, start, len);
}

void committer_note_unreadable(const void *start, size_t len)
{
	if (committer_is_open())
		dirty_note_unreadable(start, len);
}

/* The committer may hold the lock while it waits for this very thread. */
static void engine_take(void)
{
	cut_park();
	lock_acquire(&self.lock);
}

static void engine_give(void)
{
	lock_release(&self.lock);
	cut_unpark();
}

int committer_add_region(struct region *region)
{
	if (!committer_is_open())
		return -ENODEV;
	engine_take();
	const int error = dirty_add_region(region);
	engine_give();
	return error;
}

int committer_restore(const struct region *region, struct home_fault *ret_fault)
{
	char page[LAYOUT_BLOCK_BYTES] __attribute__((aligned(64)));
	int error = 0;

	if (!committer_is_open())
		return -ENODEV;
	engine_take();
	for (uint64_t i = 0; !error && i < region->page_count; i++) {
		error = checkpoint_page(self.plan.checkpoint, region->id, i, page);
		if (!error)
			memcpy(region->address + i * LAYOUT_BLOCK_BYTES, page,
			       region_page_bytes(region, i));
	}
	if (error == CHECKPOINT_E_DAMAGED)
		*ret_fault = checkpoint_fault(self.plan.checkpoint);
	engine_give();
	return error;
}

void committer_hold(void)
{
	engine_take();
	os_getpid(); /* on the way back from the kernel a signal sent before arrives */
}

void committer_go_on(void)
{
	engine_give();
}

void committer_veto(const char *why)
{
	report_veto(&self.report, why);
	report_publish(&self.report, self.plan.checkpoint);
}

/* ---- Asking ---- */

int committer_checkpoint(int timeout_ms)
{
	if (!committer_is_open() || !self.is_started)
		return -ENODEV;
	if (self.is_over)
		return -ESHUTDOWN;
	cut_park_for_cut();
	const struct ticket ticket = waiters_draw();
	control_ring(self.plan.pool->control);
	const int error = waiters_wait(ticket, timeout_ms);
	cut_unpark();
	return error;
}

/* The thread goes when it has put its house in order, so that the next run starts at once. */
int committer_finish(int timeout_ms)
{
	const int error = committer_checkpoint(timeout_ms);
	const struct timespec patience = {.tv_nsec = 2 * LAST_TEND_NS};

	if (error == -ENODEV)
		return error;
	self.is_over = true;
	control_ring(self.plan.pool->control);
	const uint32_t alive = __atomic_load_n(&self.alive, __ATOMIC_ACQUIRE);
	if (alive && error != -ETIMEDOUT)
		os_futex_wait(&self.alive, alive, &patience);
	return error;
}

void committer_end(int timeout_ms, const char *why)
{
	const struct timespec look_again = {.tv_nsec = END_LOOK_NS};
	uint32_t alive;

	if (committer_finish(timeout_ms) == -ENODEV)
		return;
	while ((alive = __atomic_load_n(&self.alive, __ATOMIC_ACQUIRE)) != 0) {
		/* Again: one more cut may have fallen in between, and a resume from there has another
		 * committer, which was told nothing yet. */
		self.is_over = true;
		control_ring(self.plan.pool->control);
		os_futex_wait(&self.alive, alive, &look_again);
	}
	report_veto(&self.report, why);
	report_publish(&self.report, self.plan.checkpoint);
}

void committer_forget(void)
{
	dirty_forget();
	atomic_store(&self.is_open, false);
}
