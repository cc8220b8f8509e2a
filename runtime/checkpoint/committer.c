/*
 * The problem: a program wants to go on while its memory is written down, many times a second, and
 * whoever asks for durability wants it now. The trick: most of a dirty set is copied while the
 * program runs; it stands still only while the rest is found and copied; comparing, checksums and
 * the disk come after. One epoch serves everybody who asked before its cut. The guarantee: what
 * an epoch holds is the memory of one instant, at which every thread stood where DESIGN 2.2 lets
 * it be taken; an epoch that fails is taken again, with everything that was in it.
 *
 * Pages stay staged until their epoch is durable: the tracker tells of a store once only.
 */
#include "committer.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "cut.h"
#include "exclude.h"
#include "lock.h"
#include "os.h"
#include "pageset.h"
#include "pool.h"
#include "report.h"
#include "roster.h"
#include "staging.h"
#include "track.h"

#define STACK_BYTES (UINT64_C(256) << 10)
#define IDLE_NS UINT64_C(1000000000)
#define PRECOPY_ROUNDS 4
#define RETAIN_NS UINT64_C(10000000000)
#define CAREFUL_WAIT_NS UINT64_C(100000)
#define SKIPS_MAX 2
#define PRECOPY_ENOUGH 64                /* pages: cheaper to copy in the cut than to scan again */
#define PRECOPY_AFTER_NS UINT64_C(10000000) /* nothing much is dirty so soon after an epoch */

/* What waiters wait for: the ticket up to which all is settled, and how the last attempt ended. */
struct outcome {
	uint32_t ticket;
	int32_t error;
};

static struct committer {
	struct committer_plan plan;
	struct staging staging;
	struct pageset again;   /* of the heap: changed without a store, or not copied when told */
	struct pageset drafted; /* likewise: given to the engine for the epoch to come */
	struct pageset hot;     /* likewise: dirty at the last cut, after all pre-copying */
	struct report report;
	struct lock lock; /* regions, tracker, engine: held but while sleeping */
	struct region regions[ROSTER_MAX];
	size_t region_count;
	_Atomic bool is_open;
	_Atomic bool is_started;
	_Atomic bool is_over;   /* no epoch any more */
	_Atomic uint32_t tickets;
	_Atomic uint64_t outcome; /* struct outcome */
	uint32_t settled;         /* a futex: rung when outcome has changed */
	_Atomic uint64_t epoch;
	uint64_t last_cut_ns;
	size_t visited; /* pages, by the collection going on */
	int stage_error;
	bool is_stopped;    /* all threads stand */
	bool may_point;     /* pages there is no room for are read where they are */
	bool is_over_limit; /* there was no room for some */
	unsigned round;     /* of pre-copying */
	unsigned skips;     /* in a row */
	_Atomic bool is_careful; /* kept memory may be unreadable */
	_Atomic bool is_precopying;
	_Atomic uint32_t scans; /* begun and ended: odd while pages are told */
	uint32_t alive;
} self;

/* ---- What is dirty ---- */

/* All threads stand, and there is no room for a copy: look at it again in a quieter time, or, if that
 * did not come, let the commit read it where it is before they go on. */
static void stage_without_room(const struct region *region, uint64_t page, const char *source)
{
	if (self.may_point) {
		const int error = staging_point(&self.staging, region->id, page, source);
		self.stage_error = error ? error : self.stage_error;
	} else {
		self.is_over_limit = true;
		pageset_add(&self.again, page, 1);
	}
}

/* While the program runs, a page goes to the engine at once, which has then done most of its work
 * before the cut. But one that was dirty again at the last cut will be at this one: for it a copy,
 * which costs a tenth, is kept up to date. */
static void stage_early(const struct region *region, uint64_t page, const char *source)
{
	const bool is_hot = self.round != 0 || pageset_has(&self.hot, page) ||
			    staging_has(&self.staging, region->id, page);
	if (is_hot && staging_put(&self.staging, region->id, page, source) == 0)
		return;
	/* Staged as zeros, which took no room: the commit would give that after the draft. */
	const int error = staging_has(&self.staging, region->id, page)
				  ? -ENOSPC
				  : checkpoint_draft(self.plan.checkpoint,
						     &(struct checkpoint_page){region->id, page,
									       source});
	/* Drafts of an epoch that fails are lost with it. */
	pageset_add(error ? &self.again : &self.drafted, page, 1);
}

static void stage_at_cut(const struct region *region, uint64_t page, const char *source)
{
	pageset_add(&self.hot, page, 1);
	if (staging_put(&self.staging, region->id, page, source) != 0)
		stage_without_room(region, page, source);
}

static void stage_unlimited(const struct region *region, uint64_t page, const char *source,
			    const char *bytes)
{
	const int error = staging_put(&self.staging, region->id, page, bytes);

	if (!error)
		return;
	track_again(self.plan.track, source); /* no memory: the epoch would not be what it says */
	self.stage_error = error;
}

/* A page as the epoch shall have it, if it cannot be taken from where it is: the end of a region is
 * not the end of a page, some bytes are excluded, or the program has made it unreadable.
 * 1: put together; 0: not needed; -errno */
static int put_together(char *ret_copy, const char *source, uint64_t len)
{
	const bool is_readable = !self.is_careful || os_is_readable(source, len);
	int error = 0;

	if (len == LAYOUT_BLOCK_BYTES && exclude_is_empty() && is_readable)
		return 0;
	memset(ret_copy + len, 0, LAYOUT_BLOCK_BYTES - len);
	if (is_readable)
		memcpy(ret_copy, source, len);
	else
		error = os_read_memory(ret_copy, source, len);
	exclude_apply(source, ret_copy, len);
	return error ? error : 1;
}

static void stage_page(const struct region *region, uint64_t page)
{
	char copy[LAYOUT_BLOCK_BYTES] __attribute__((aligned(64)));
	const char *source = region->address + page * LAYOUT_BLOCK_BYTES;
	const int status = put_together(copy, source, region_page_bytes(region, page));

	self.visited++;
	if (status < 0) { /* the epoch would not be what it says */
		track_again(self.plan.track, source);
		self.stage_error = status;
		return;
	}
	/* Those that had to be put together, and kept globals, are few: staged whatever the limit. */
	const bool is_limited = !status && region->id == CHECKPOINT_REGION_HEAP;
	self.staging.limit_bytes = is_limited ? self.plan.staging_bytes : SIZE_MAX;
	if (!is_limited)
		stage_unlimited(region, page, source, status ? copy : source);
	else if (self.is_stopped)
		stage_at_cut(region, page, source);
	else
		stage_early(region, page, source);
}

/* A run of the tracker's pages may touch several regions. */
static void stage_run(void *context, char *start, size_t len)
{
	for (size_t i = 0; i < self.region_count; i++) {
		const struct region *region = &self.regions[i];
		if (!region->address || start >= region->address + region_bytes(region) ||
		    start + len <= region->address)
			continue;
		uint64_t first;
		const uint64_t count = region_pages_at(region, start, len, &first);
		for (uint64_t page = first; page < first + count; page++)
			stage_page(region, page);
	}
}

static void stage_again(void *context, uint64_t page)
{
	stage_page(&self.regions[0], page);
}

/* One collection: first what no tracker tells, since it may have been stored to by now. */
static int collect(size_t *ret_pages)
{
	self.visited = 0;
	self.stage_error = 0;
	pageset_take(&self.again, stage_again, NULL);
	atomic_fetch_add(&self.scans, 1);
	const int error = track_collect(self.plan.track, stage_run, NULL);
	atomic_fetch_add(&self.scans, 1);
	*ret_pages = self.visited;
	return error ? error : self.stage_error;
}

/* Round after round while it shrinks: what the last one leaves is the pause. */
static void precopy_rounds(void)
{
	size_t before = SIZE_MAX, pages = 0;

	for (self.round = 0; self.round < PRECOPY_ROUNDS && !self.is_careful; self.round++) {
		if (collect(&pages) != 0 || pages <= PRECOPY_ENOUGH || pages > before / 4 * 3)
			return;
		before = pages;
	}
}

static void precopy(void)
{
	if (!track_can_run(self.plan.track))
		return;
	self.is_precopying = true; /* before is_careful is looked at: see committer_note_unreadable() */
	precopy_rounds();
	self.is_precopying = false;
}

/* ---- Epochs ---- */

static void ring_waiters(void)
{
	__atomic_fetch_add(&self.settled, 1, __ATOMIC_RELEASE);
	os_futex_wake(&self.settled, INT32_MAX);
}

static void settle(uint32_t ticket, int error)
{
	const struct outcome outcome = {ticket, error};
	uint64_t word;

	memcpy(&word, &outcome, sizeof(word));
	atomic_store_explicit(&self.outcome, word, memory_order_release);
	ring_waiters();
}

static struct outcome outcome_now(void)
{
	const uint64_t word = atomic_load_explicit(&self.outcome, memory_order_acquire);
	struct outcome outcome;

	memcpy(&outcome, &word, sizeof(outcome));
	return outcome;
}

static void again_drafted(void *context, uint64_t page)
{
	pageset_add(&self.again, page, 1);
}

static void again_pointed(void *context, uint32_t region_id, uint64_t page)
{
	if (region_id == CHECKPOINT_REGION_HEAP)
		pageset_add(&self.again, page, 1);
	for (size_t i = 1; i < self.region_count; i++)
		if (self.regions[i].id == region_id)
			track_again(self.plan.track, self.regions[i].address);
}

static int commit(void)
{
	const struct checkpoint_page *pages;
	size_t count;
	uint64_t epoch;
	const uint64_t began_ns = os_clock_ns(CLOCK_MONOTONIC);

	pages = staging_pages(&self.staging, &count);
	const int error = checkpoint_commit(self.plan.checkpoint, pages, count, &epoch);
	if (error) {
		staging_unpoint(&self.staging, again_pointed, NULL);
		pageset_take(&self.drafted, again_drafted, NULL);
	} else {
		atomic_store_explicit(&self.epoch, epoch, memory_order_release);
		staging_clear(&self.staging);
		pageset_take(&self.drafted, NULL, NULL);
	}
	report_commit(&self.report, error, count, os_clock_ns(CLOCK_MONOTONIC) - began_ns);
	return error;
}

static bool is_asked(void)
{
	uint32_t request;

	return atomic_load_explicit(&self.tickets, memory_order_acquire) != outcome_now().ticket ||
	       control_pending(self.plan.pool->control, &request);
}

/*
 * The instant. On return everybody runs again, and the image is staged; or, if it did not fit, it
 * has been committed while they stood. -EAGAIN: there is none.
 */
static int take_cut(uint32_t *ret_ticket, bool *ret_is_committed)
{
	struct cut_report cut;
	size_t pages;
	const int status = cut_stop(self.plan.interval_ns, &cut);

	report_cut(&self.report, &cut, status);
	if (status == CUT_E_DEADLOCK) /* one of them must stop waiting */
		ring_waiters();
	if (status)
		return -EAGAIN;
	self.is_stopped = true;
	*ret_ticket = atomic_load_explicit(&self.tickets, memory_order_acquire);
	self.last_cut_ns = os_clock_ns(CLOCK_MONOTONIC);
	report_instant(&self.report, os_clock_ns(CLOCK_REALTIME));
	pageset_take(&self.hot, NULL, NULL);
	int error = collect(&pages);
	*ret_is_committed = !error && self.staging.pointed_count != 0;
	if (*ret_is_committed)
		error = commit();
	self.is_stopped = false;
	cut_release(&cut);
	report_pause(&self.report, cut.pause_ns);
	return error ? error : self.is_over_limit ? -EAGAIN : 0;
}

/* More is dirty than may be held in copies. Twice it is put off, in the hope of a quieter time;
 * then it is taken all the same, and everybody stands while it is written. */
static int take_cut_or_skip(uint32_t *ret_ticket, bool *ret_is_committed)
{
	self.is_over_limit = false;
	self.may_point = self.skips == SKIPS_MAX || is_asked() || !track_can_run(self.plan.track);
	const int error = take_cut(ret_ticket, ret_is_committed);
	self.skips = self.is_over_limit ? self.skips + 1 : 0;
	if (self.is_over_limit)
		report_skipped(&self.report);
	return error;
}

static void make_epoch(void)
{
	uint32_t ticket = 0, request;
	bool is_committed = false;
	const bool is_requested = control_pending(self.plan.pool->control, &request);

	if (os_clock_ns(CLOCK_MONOTONIC) - self.last_cut_ns > PRECOPY_AFTER_NS)
		precopy();
	int error = take_cut_or_skip(&ticket, &is_committed);
	if (error == -EAGAIN) /* who waits goes on waiting, for the next attempt */
		return;
	if (!error && !is_committed)
		error = commit();
	report_publish(&self.report, self.plan.checkpoint); /* who waited may look at once */
	settle(ticket, error);
	if (is_requested)
		control_answer(self.plan.pool->control, request, error < 0 ? -error : error ? EIO : 0);
}

/* ---- The thread ---- */

/* Until the next epoch is due, somebody asks, or all is over. */
static void sleep_until(uint64_t due_ns)
{
	for (;;) {
		const uint32_t rung = control_doorbell(self.plan.pool->control);
		const uint64_t now_ns = os_clock_ns(CLOCK_MONOTONIC);
		if (is_asked() || self.is_over || now_ns >= due_ns)
			return;
		control_sleep(self.plan.pool->control, rung,
			      due_ns - now_ns < IDLE_NS ? due_ns - now_ns : IDLE_NS);
	}
}

/* What is in home stays as it is while a forked child shows it, and what this run went on from can
 * be had back for its first seconds: by then it is known whether it was fit to live. */
static enum checkpoint_hold hold_now(uint64_t began_ns)
{
	if (pool_fd(self.plan.pool) < 0 || pool_has_views(self.plan.pool))
		return CHECKPOINT_STILL;
	return os_clock_ns(CLOCK_MONOTONIC) - began_ns < RETAIN_NS ? CHECKPOINT_RETAIN : CHECKPOINT_FREE;
}

static void run(void *argument)
{
	os_thread_set_name("heapsake");
	os_timer_slack_ns(1);
	const uint64_t began_ns = os_clock_ns(CLOCK_MONOTONIC);
	uint64_t due_ns = began_ns;
	while (!self.is_over) {
		due_ns = self.plan.interval_ns ? due_ns + self.plan.interval_ns : UINT64_MAX;
		sleep_until(due_ns);
		const uint64_t now_ns = os_clock_ns(CLOCK_MONOTONIC);
		if (due_ns < now_ns) /* late: the next one is not earlier for it */
			due_ns = now_ns;
		lock_acquire(&self.lock);
		if (!self.is_over) {
			checkpoint_hold(self.plan.checkpoint, hold_now(began_ns));
			make_epoch();
			report_publish(&self.report, self.plan.checkpoint);
			checkpoint_tend(self.plan.checkpoint);
		}
		lock_release(&self.lock);
	}
	settle(atomic_load(&self.tickets), -ESHUTDOWN);
}

int committer_open(const struct committer_plan *plan)
{
	struct checkpoint_info info;

	self.plan = *plan;
	checkpoint_info(plan->checkpoint, &info);
	atomic_store(&self.epoch, info.epoch);
	for (size_t i = 0; i < plan->region_count; i++)
		self.regions[i] = plan->regions[i];
	self.region_count = plan->region_count;
	report_open(&self.report, plan);
	staging_open(&self.staging, plan->staging_bytes);
	int error = pageset_open(&self.again, self.regions[0].page_count);
	if (!error)
		error = pageset_open(&self.drafted, self.regions[0].page_count);
	if (!error)
		error = pageset_open(&self.hot, self.regions[0].page_count);
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
	if (!committer_is_open())
		return 0;
	pageset_add(&self.again, page, page_count);
	return is_mapped_anew ? track_renew(self.plan.track,
					    self.regions[0].address + page * LAYOUT_BLOCK_BYTES,
					    page_count * LAYOUT_BLOCK_BYTES) : 0;
}

static bool is_kept(const void *start, size_t len)
{
	const char *from = start;
	bool is_kept = false;

	for (size_t i = 0; committer_is_open() && i < self.region_count; i++) {
		const struct region *region = &self.regions[i];
		is_kept |= region->address && from < region->address + region_bytes(region) &&
			   from + len > region->address;
	}
	return is_kept;
}

/* Between looking at a page and copying it, its protection must not change: hence no pre-copy any
 * more, and one that is going on is waited for. */
void committer_note_unreadable(const void *start, size_t len)
{
	if (!is_kept(start, len))
		return;
	self.is_careful = true;
	self.plan.track->has_closed = true;
	while (self.is_precopying)
		os_sleep_ns(CAREFUL_WAIT_NS);
}

uint32_t committer_scans(void)
{
	return self.scans;
}

/* A byte of each page is exchanged for itself. */
void committer_note_stored(uint32_t scans, void *start, size_t len)
{
	char *const end = (char *)start + len;

	if ((scans == self.scans && scans % 2 == 0) || !is_kept(start, len))
		return;
	for (char *at = start; at < end;
	     at += LAYOUT_BLOCK_BYTES - (uintptr_t)at % LAYOUT_BLOCK_BYTES)
		__atomic_fetch_or(at, 0, __ATOMIC_RELAXED);
}

static struct region *find_region(uint32_t region_id)
{
	for (size_t i = 0; i < self.region_count; i++)
		if (self.regions[i].id == region_id)
			return &self.regions[i];
	return NULL;
}

static int add_region(struct region *region)
{
	struct region *known = find_region(region->id);
	int error = checkpoint_add_region(self.plan.checkpoint, region);

	if (!error && region->address)
		error = track_add(self.plan.track, region_memory_start(region),
				  region_memory_bytes(region));
	if (error)
		return error;
	*(known ? known : &self.regions[self.region_count++]) = *region;
	return 0;
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
	const int error = add_region(region);
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

/* ---- Asking ---- */

static int wait_for(uint32_t ticket, int timeout_ms)
{
	const uint64_t until_ns = os_clock_ns(CLOCK_MONOTONIC) + (uint64_t)timeout_ms * 1000000;

	for (;;) {
		const uint32_t settled = __atomic_load_n(&self.settled, __ATOMIC_ACQUIRE);
		const struct outcome outcome = outcome_now();
		if ((int32_t)(outcome.ticket - ticket) >= 0)
			return outcome.error;
		if (cut_is_deadlock())
			return -EDEADLK;
		const uint64_t now_ns = os_clock_ns(CLOCK_MONOTONIC);
		if (timeout_ms >= 0 && now_ns >= until_ns)
			return -ETIMEDOUT;
		const uint64_t left_ns = timeout_ms < 0 ? IDLE_NS : until_ns - now_ns;
		const struct timespec timeout = {.tv_sec = (time_t)(left_ns / 1000000000),
						 .tv_nsec = (long)(left_ns % 1000000000)};
		os_futex_wait(&self.settled, settled, &timeout);
	}
}

int committer_checkpoint(int timeout_ms)
{
	if (!committer_is_open() || !self.is_started)
		return -ENODEV;
	if (self.is_over)
		return -ESHUTDOWN;
	cut_park_for_cut();
	const uint32_t ticket = atomic_fetch_add(&self.tickets, 1) + 1;
	control_ring(self.plan.pool->control);
	const int error = wait_for(ticket, timeout_ms);
	cut_unpark();
	return error;
}

int committer_finish(int timeout_ms)
{
	const int error = committer_checkpoint(timeout_ms);

	if (error == -ENODEV)
		return error;
	self.is_over = true;
	control_ring(self.plan.pool->control);
	return error;
}

void committer_forget(void)
{
	if (self.plan.track)
		track_forget(self.plan.track);
	atomic_store(&self.is_open, false);
}
