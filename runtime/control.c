/*
 * The problem: info and a refused second owner want to know who owns the pool, and the owner may
 * die at any instruction. The trick: a seqlock in a page every process can map; who has died is
 * told by pid and start time together. The guarantee: readers never wait for the owner and never
 * act on half a record; a page full of garbage costs a message its detail and nothing else.
 *
 * Requests go the other way, from any number of processes to the owner: two counters instead of a
 * queue, since one epoch serves everybody who asked before its cut.
 */
#include "control.h"

#include <errno.h>
#include <string.h>

#include "os.h"

/* The owner is one process and calls these under its own lock, so there is one writer. */
static void write_begin(struct control *control)
{
	/* An owner that died here left seq odd: odd stays odd. */
	__atomic_store_n(&control->seq, control->seq | 1, __ATOMIC_RELAXED);
	/* The fields' stores stay behind the odd seq. */
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

static void write_end(struct control *control)
{
	/* Even again, after the fields. */
	__atomic_store_n(&control->seq, control->seq + 1, __ATOMIC_RELEASE);
}

static void status_to_page(struct control *control, const struct control_status *status)
{
	control->epoch = status->epoch;
	control->epoch_unix_ns = status->epoch_unix_ns;
	control->dirty_unix_ns = status->dirty_unix_ns;
	control->oldest_epoch = status->oldest_epoch;
	control->state = status->state;
	control->error = status->error;
	control->durability = status->durability;
	control->tracker = status->tracker;
	control->interval_ns = status->interval_ns;
	control->log_bytes = status->log_bytes;
	control->counters = status->counters;
	control->pause = status->pause;
	control->commit = status->commit;
	control->lifelong_locks = status->lifelong_locks;
	memcpy(control->why, status->why, sizeof(control->why));
	control->why[sizeof(control->why) - 1] = 0;
	memcpy(control->lifelong, status->lifelong, sizeof(control->lifelong));
	control->lifelong[sizeof(control->lifelong) - 1] = 0;
}

/* Requests to a dead owner get no epoch; far behind any number somebody may still wait for. */
static void drop_requests(struct control *control, int error)
{
	uint32_t requests = __atomic_load_n(&control->requests, __ATOMIC_RELAXED);

	__atomic_store_n(&control->requests_durable, requests - (UINT32_C(1) << 30), __ATOMIC_RELAXED);
	control_answer(control, requests, error);
}

void control_enter_owner(struct control *control, const struct control_owner *owner, enum keep keep)
{
	static const struct control_status nothing;
	uint64_t now_ns = os_clock_ns(CLOCK_REALTIME);

	write_begin(control);
	control->magic = LAYOUT_CONTROL_MAGIC;
	__atomic_store_n(&control->flags, CONTROL_RUNNING, __ATOMIC_RELAXED);
	control->start_ticks = owner->start_ticks;
	control->started_unix_ns = now_ns;
	control->pid = owner->pid;
	control->keep = keep;
	control->open_bytes = 0;
	control->alive_unix_ns = 0;
	control_note_end(control, 0);
	memcpy(control->program, owner->program, sizeof(control->program));
	control->program[sizeof(control->program) - 1] = 0;
	status_to_page(control, &nothing);
	write_end(control);
	drop_requests(control, ESHUTDOWN);
}

/* The flag alone, outside the seqlock: the committer may be in the middle of publishing. */
void control_leave_owner(struct control *control)
{
	uint32_t request;

	__atomic_fetch_and(&control->flags, ~(uint32_t)CONTROL_RUNNING, __ATOMIC_RELAXED);
	control_note_end(control, os_clock_ns(CLOCK_REALTIME));
	if (control_pending(control, &request))
		control_answer(control, request, ESHUTDOWN);
}

void control_publish(struct control *control, const struct control_status *status)
{
	write_begin(control);
	status_to_page(control, status);
	control->alive_unix_ns = os_clock_ns(CLOCK_REALTIME);
	write_end(control);
}

void control_set_flag(struct control *control, uint32_t flag)
{
	__atomic_fetch_or(&control->flags, flag, __ATOMIC_RELAXED);
}

void control_set_heap(struct control *control, uint64_t open_bytes)
{
	__atomic_store_n(&control->open_bytes, open_bytes, __ATOMIC_RELAXED);
}

/* ---- Requests ---- */

bool control_pending(const struct control *control, uint32_t *ret_request)
{
	/* What the asker stored before it asked is seen by whoever cuts after this. */
	uint32_t requests = __atomic_load_n(&control->requests, __ATOMIC_ACQUIRE);

	*ret_request = requests;
	return requests != __atomic_load_n(&control->requests_done, __ATOMIC_RELAXED);
}

void control_answer(struct control *control, uint32_t request, int error)
{
	if (error)
		__atomic_store_n(&control->request_error, error, __ATOMIC_RELAXED);
	else
		__atomic_store_n(&control->requests_durable, request, __ATOMIC_RELAXED);
	/* Whoever sees this number sees what came of it. */
	__atomic_store_n(&control->requests_done, request, __ATOMIC_RELEASE);
	os_futex_wake(&control->requests_done, INT32_MAX);
}

uint32_t control_doorbell(const struct control *control)
{
	return __atomic_load_n(&control->doorbell, __ATOMIC_ACQUIRE);
}

static struct timespec timespec_of(uint64_t ns)
{
	return (struct timespec){
		.tv_sec = (time_t)(ns / UINT64_C(1000000000)),
		.tv_nsec = (long)(ns % UINT64_C(1000000000)),
	};
}

void control_sleep(struct control *control, uint32_t doorbell, uint64_t timeout_ns)
{
	struct timespec timeout = timespec_of(timeout_ns);

	os_futex_wait(&control->doorbell, doorbell, timeout_ns == UINT64_MAX ? NULL : &timeout);
}

void control_ring(struct control *control)
{
	__atomic_fetch_add(&control->doorbell, 1, __ATOMIC_RELEASE);
	os_futex_wake(&control->doorbell, INT32_MAX);
}

uint32_t control_request(struct control *control)
{
	uint32_t request = __atomic_add_fetch(&control->requests, 1, __ATOMIC_ACQ_REL);

	control_ring(control);
	return request;
}

/* Is number n at least m? They may wrap. */
static bool has_reached(uint32_t n, uint32_t m)
{
	return (int32_t)(n - m) >= 0;
}

int control_wait(struct control *control, uint32_t request, uint64_t timeout_ns)
{
	uint64_t end_ns = os_clock_ns(CLOCK_MONOTONIC) + timeout_ns;

	for (;;) {
		uint32_t done = __atomic_load_n(&control->requests_done, __ATOMIC_ACQUIRE);
		if (has_reached(done, request))
			break;
		uint64_t now_ns = os_clock_ns(CLOCK_MONOTONIC);
		if (now_ns >= end_ns)
			return -ETIMEDOUT;
		struct timespec left = timespec_of(end_ns - now_ns);
		os_futex_wait(&control->requests_done, done, &left);
	}
	if (has_reached(__atomic_load_n(&control->requests_durable, __ATOMIC_RELAXED), request))
		return 0;
	int error = __atomic_load_n(&control->request_error, __ATOMIC_RELAXED);
	return error > 0 && error < 4096 ? -error : -EIO; /* garbage is no success either */
}

/* ---- Reading ---- */

#define READ_BYTES offsetof(struct control, reserved)
typedef uint64_t __attribute__((may_alias)) word;
static_assert(READ_BYTES % sizeof(word) == 0, "copied by words");

/* The owner may be writing: the copy is what it is, and seq tells whether it may be believed. */
static void copy_page(struct control *to, const struct control *from)
{
	const volatile word *words = (const volatile word *)from;

	for (size_t i = 0; i < READ_BYTES / sizeof(word); i++)
		((word *)to)[i] = words[i];
}

static void status_of_page(const struct control *page, struct control_status *status)
{
	status->epoch = page->epoch;
	status->epoch_unix_ns = page->epoch_unix_ns;
	status->dirty_unix_ns = page->dirty_unix_ns;
	status->oldest_epoch = page->oldest_epoch;
	status->state = (enum control_state)page->state;
	status->error = page->error;
	status->durability = (enum durability)page->durability;
	status->tracker = page->tracker;
	status->interval_ns = page->interval_ns;
	status->log_bytes = page->log_bytes;
	status->counters = page->counters;
	status->pause = page->pause;
	status->commit = page->commit;
	status->lifelong_locks = page->lifelong_locks;
	memcpy(status->why, page->why, sizeof(status->why));
	memcpy(status->lifelong, page->lifelong, sizeof(status->lifelong));
}

static bool is_sane(const struct control *page)
{
	return page->pid > 0 && memchr(page->program, 0, sizeof(page->program)) &&
	       memchr(page->why, 0, sizeof(page->why)) &&
	       memchr(page->lifelong, 0, sizeof(page->lifelong)) && page->state <= CONTROL_CORRUPT &&
	       page->durability <= DURABILITY_CACHE && page->keep <= KEEP_PROCESS;
}

static void snapshot_of_page(const struct control *page, struct control_snapshot *snapshot)
{
	snapshot->owner.pid = page->pid;
	snapshot->owner.start_ticks = page->start_ticks;
	memcpy(snapshot->owner.program, page->program, sizeof(snapshot->owner.program));
	snapshot->flags = page->flags;
	snapshot->keep = (enum keep)page->keep;
	snapshot->open_bytes = page->open_bytes;
	snapshot->started_unix_ns = page->started_unix_ns;
	snapshot->alive_unix_ns = page->alive_unix_ns;
	snapshot->ended_unix_ns = page->ended_unix_ns;
	status_of_page(page, &snapshot->status);
}

int control_read(const struct control *control, struct control_snapshot *ret_snapshot)
{
	struct control page;

	for (int tries = 0; tries < 100; tries++) {
		uint32_t before = __atomic_load_n(&control->seq, __ATOMIC_ACQUIRE);
		if (before & 1)
			continue;
		copy_page(&page, control);
		/* The copy is complete before seq is looked at again. */
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (__atomic_load_n(&control->seq, __ATOMIC_RELAXED) != before)
			continue;
		if (page.magic != LAYOUT_CONTROL_MAGIC || !is_sane(&page))
			return -EINVAL;
		snapshot_of_page(&page, ret_snapshot);
		return 0;
	}
	return -EAGAIN;
}

void control_note_outputs(struct control *control, uint32_t known, const uint64_t bytes[3])
{
	memcpy(control->output_bytes, bytes, sizeof(control->output_bytes));
	__atomic_store_n(&control->outputs_known, known, __ATOMIC_RELEASE);
}

void control_note_end(struct control *control, uint64_t unix_ns)
{
	__atomic_store_n(&control->ended_unix_ns, unix_ns, __ATOMIC_RELAXED);
}

uint32_t control_take_outputs(struct control *control, uint64_t ret_bytes[3])
{
	const uint32_t known = __atomic_exchange_n(&control->outputs_known, 0, __ATOMIC_ACQ_REL);

	memcpy(ret_bytes, control->output_bytes, sizeof(control->output_bytes));
	return known & 7;
}
