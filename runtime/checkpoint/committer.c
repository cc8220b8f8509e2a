/*
 * The problem: epochs are to come by themselves, and whoever asks for one wants it now; what is
 * left undone on the way (merging, looking after what is at rest) is to cost nobody anything. The
 * trick: a thread of our own, which libc knows nothing of; one epoch serves everybody who asked
 * before its cut, and all else is done in pieces while nobody waits. The guarantee: who asked hears
 * of an epoch that has what he had stored, or why there is none.
 *
 * How one is made: attempt.c. What is dirty: dirty.c. Who waits: waiters.c. What is told of it:
 * report.c.
 */
#include "committer.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "attempt.h"
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
#define LAST_TEND_NS 200000000
#define PATROL_PACE_NS UINT64_C(20000000) /* a MiB each time: 50 MiB/s at most */
#define PATROL_STEPS 4
#define PATROL_FIRST_NS UINT64_C(1000000000) /* who has just started has other things to read */
#define PATROL_AGAIN_NS (UINT64_C(24) * 3600 * 1000000000)
#define END_LOOK_NS 100000000
#define PRESSED_RUNS 2
#define COMPARED_RUNS 50 /* times as long as it stands, where every page is copied meanwhile */

struct committer committer OURS;

/* ---- The thread ---- */

/* A little of what is at rest is compared with what was committed. */
static void patrol(void)
{
	struct checkpoint_info before, after;
	int status = CHECKPOINT_MORE;

	lock_acquire(&committer.lock);
	checkpoint_info(committer.plan.checkpoint, &before);
	for (unsigned i = 0; status == CHECKPOINT_MORE && i < PATROL_STEPS && !attempt_is_asked(); i++)
		status = checkpoint_patrol(committer.plan.checkpoint, dirty_mend);
	checkpoint_info(committer.plan.checkpoint, &after);
	if (before.damaged_pages != after.damaged_pages)
		report_publish(&committer.report, committer.plan.checkpoint);
	lock_release(&committer.lock);
	committer.patrol_due_ns = os_clock_ns(CLOCK_MONOTONIC) +
			     (status == CHECKPOINT_MORE ? PATROL_PACE_NS : PATROL_AGAIN_NS);
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Until the next epoch is due, somebody asks, or all is over. Who asked when nothing came of it
 * waits on: all would stand most of the time if that were tried again at once. */
static void sleep_until(uint64_t due_ns)
{
	for (;;) {
		const uint32_t rung = control_doorbell(committer.plan.pool->control);
		const uint64_t now_ns = os_clock_ns(CLOCK_MONOTONIC);
		const uint64_t until_ns = attempt_is_asked() ? least(due_ns, committer.again_ns) : due_ns;
		if (committer.is_over || now_ns >= until_ns)
			return;
		if (now_ns >= committer.patrol_due_ns)
			patrol();
		else
			control_sleep(committer.plan.pool->control, rung,
				      least(least(until_ns, committer.patrol_due_ns) - now_ns, IDLE_NS));
	}
}

/* As long as nobody waits and nothing is due; or, if there never is time for it and the disk would
 * be full in the end, for some times as long as the epoch took that is to be made room for. */
static bool may_tend(uint64_t until_ns, uint64_t epoch_ns, uint64_t begun_ns)
{
	const uint64_t now_ns = os_clock_ns(CLOCK_MONOTONIC);

	return (!attempt_is_asked() && now_ns < until_ns) ||
	       (now_ns - begun_ns < PRESSED_RUNS * epoch_ns &&
		checkpoint_is_pressed(committer.plan.checkpoint));
}

/* Housekeeping in pieces. */
static void tend(uint64_t until_ns, uint64_t epoch_ns)
{
	const uint64_t begun_ns = os_clock_ns(CLOCK_MONOTONIC);
	int status = CHECKPOINT_MORE;

	while (status == CHECKPOINT_MORE && may_tend(until_ns, epoch_ns, begun_ns)) {
		lock_acquire(&committer.lock);
		status = checkpoint_tend(committer.plan.checkpoint);
		if (status == CHECKPOINT_E_DAMAGED)
			checkpoint_mend(committer.plan.checkpoint, dirty_mend);
		if (status != 0 && status != CHECKPOINT_MORE)
			report_publish(&committer.report, committer.plan.checkpoint);
		lock_release(&committer.lock);
	}
}

/* One long pause is an accident, or the first. */
static uint64_t interval_now_ns(void)
{
	const uint64_t wanted_ns = committer.plan.interval_ns;
	const uint64_t pause_ns = least(committer.pause_ns[0], committer.pause_ns[1]);
	const uint64_t least_ns =
		committer.plan.track->kind == TRACK_COMPARE ? pause_ns * COMPARED_RUNS : 0;

	return wanted_ns > least_ns ? wanted_ns : least_ns;
}

static void run(void *argument)
{
	os_thread_set_name("heapsake");
	os_timer_slack_ns(1);
	committer.began_ns = os_clock_ns(CLOCK_MONOTONIC);
	committer.patrol_due_ns = committer.began_ns + PATROL_FIRST_NS;
	uint64_t due_ns = committer.began_ns;
	while (!committer.is_over) {
		due_ns = committer.plan.interval_ns ? due_ns + interval_now_ns() : UINT64_MAX;
		sleep_until(due_ns);
		const uint64_t now_ns = os_clock_ns(CLOCK_MONOTONIC);
		if (due_ns != UINT64_MAX) /* late, or asked for before: the next one is an interval from here */
			due_ns = now_ns;
		lock_acquire(&committer.lock);
		if (!committer.is_over) {
			attempt_make();
			report_publish(&committer.report, committer.plan.checkpoint);
		}
		lock_release(&committer.lock);
		const uint64_t made_ns = os_clock_ns(CLOCK_MONOTONIC);
		tend(committer.is_over ? made_ns + LAST_TEND_NS : due_ns + committer.plan.interval_ns,
		     made_ns - now_ns);
	}
	checkpoint_finish(committer.plan.checkpoint);
	waiters_shut();
}

int committer_open(const struct committer_plan *plan)
{
	struct checkpoint_info info;

	committer.plan = *plan;
	checkpoint_info(plan->checkpoint, &info);
	atomic_store(&committer.epoch, info.epoch);
	waiters_open();
	report_open(&committer.report, plan);
	const int error = dirty_open(&(struct dirty_plan){
		.checkpoint = plan->checkpoint,
		.track = plan->track,
		.regions = plan->regions,
		.region_count = plan->region_count,
		.staging_bytes = plan->staging_bytes,
		.memory = plan->memory,
		.before_draft = attempt_hold_again,
	});
	atomic_store_explicit(&committer.is_open, !error, memory_order_release);
	return error;
}

int committer_start(void)
{
	const int error = os_thread_start(run, NULL, STACK_BYTES, &committer.alive);

	committer.is_started = !error;
	return error;
}

bool committer_is_open(void)
{
	return atomic_load_explicit(&committer.is_open, memory_order_acquire);
}

uint64_t committer_epoch(void)
{
	return atomic_load_explicit(&committer.epoch, memory_order_acquire);
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
	lock_acquire(&committer.lock);
}

static void engine_give(void)
{
	lock_release(&committer.lock);
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
		error = checkpoint_page(committer.plan.checkpoint, region->id, i, page);
		if (!error)
			memcpy(region->address + i * LAYOUT_BLOCK_BYTES, page,
			       region_page_bytes(region, i));
	}
	if (error == CHECKPOINT_E_DAMAGED)
		*ret_fault = checkpoint_fault(committer.plan.checkpoint);
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
	report_veto(&committer.report, why);
	report_publish(&committer.report, committer.plan.checkpoint);
}

/* ---- Asking ---- */

int committer_checkpoint(int timeout_ms)
{
	if (!committer_is_open() || !committer.is_started)
		return -ENODEV;
	if (committer.is_over)
		return -ESHUTDOWN;
	cut_park_for_cut();
	const struct ticket ticket = waiters_draw();
	control_ring(committer.plan.pool->control);
	const int error = waiters_wait(ticket, timeout_ms);
	cut_unpark();
	return error;
}

/* The thread goes when it has put its house in order, so that the next run starts at once. */
int committer_finish(int timeout_ms, uint32_t flags)
{
	const int error = committer_checkpoint(timeout_ms);
	const struct timespec patience = {.tv_nsec = 2 * LAST_TEND_NS};

	if (error == -ENODEV)
		return error;
	if (!error)
		control_set_flag(committer.plan.pool->control, flags);
	committer.is_over = true;
	control_ring(committer.plan.pool->control);
	const uint32_t alive = __atomic_load_n(&committer.alive, __ATOMIC_ACQUIRE);
	if (alive && error != -ETIMEDOUT)
		os_futex_wait(&committer.alive, alive, &patience);
	return error;
}

void committer_end(int timeout_ms, const char *why)
{
	const struct timespec look_again = {.tv_nsec = END_LOOK_NS};
	uint32_t alive;

	if (committer_finish(timeout_ms, 0) == -ENODEV)
		return;
	while ((alive = __atomic_load_n(&committer.alive, __ATOMIC_ACQUIRE)) != 0) {
		/* Again: one more cut may have fallen in between, and a resume from there has another
		 * committer, which was told nothing yet. */
		committer.is_over = true;
		control_ring(committer.plan.pool->control);
		os_futex_wait(&committer.alive, alive, &look_again);
	}
	report_veto(&committer.report, why);
	report_publish(&committer.report, committer.plan.checkpoint);
}

void committer_forget(void)
{
	dirty_forget();
	atomic_store(&committer.is_open, false);
}
