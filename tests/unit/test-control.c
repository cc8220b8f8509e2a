/* The control page: readers get whole records or none, and garbage does nobody harm. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "control.h"

static struct control page;
static struct control_snapshot snapshot;

static const struct control_owner owner = {.pid = 42, .start_ticks = 4711, .program = "redis"};

Test(control, an_owner_can_be_read_back)
{
	control_enter_owner(&page, &owner, KEEP_NONE);
	control_set_heap(&page, 1 << 20);
	control_set_flag(&page, CONTROL_PRIVATE);
	cr_assert_eq(control_read(&page, &snapshot), 0);
	cr_assert_eq(snapshot.owner.pid, 42);
	cr_assert_eq(snapshot.owner.start_ticks, 4711);
	cr_assert_str_eq(snapshot.owner.program, "redis");
	cr_assert_eq(snapshot.flags, CONTROL_RUNNING | CONTROL_PRIVATE);
	cr_assert_eq(snapshot.open_bytes, 1 << 20);
	cr_assert_gt(snapshot.started_unix_ns, UINT64_C(1600000000000000000));
}

Test(control, leaving_clears_running_and_entering_starts_afresh)
{
	control_enter_owner(&page, &owner, KEEP_NONE);
	control_set_flag(&page, CONTROL_PRIVATE);
	control_set_heap(&page, 5);
	control_leave_owner(&page);
	cr_assert_eq(control_read(&page, &snapshot), 0);
	cr_assert_eq(snapshot.flags, CONTROL_PRIVATE);
	control_enter_owner(&page, &owner, KEEP_NONE);
	cr_assert_eq(control_read(&page, &snapshot), 0);
	cr_assert_eq(snapshot.flags, CONTROL_RUNNING);
	cr_assert_eq(snapshot.open_bytes, 0);
}

static struct control_status full_status(void)
{
	struct control_status status = {
		.epoch = 812, .epoch_unix_ns = 1, .dirty_unix_ns = 2, .oldest_epoch = 809,
		.state = CONTROL_DEGRADED, .error = ENOSPC, .durability = DURABILITY_CACHE,
		.tracker = 2, .interval_ns = 100000000, .log_bytes = 4096,
		.counters = {.epochs = 1, .forced = 2, .given_up = 3, .skipped = 4, .pages = 5,
			     .log_bytes = 6, .user_bytes = 7, .home_bytes = 8},
		.pause = {9, 10, 11}, .commit = {12, 13, 14}, .lifelong_locks = 15,
		.lifelong = "thread 7 (name) holds lock 0x8",
		.why = "the disk is full",
	};
	return status;
}

Test(control, a_status_can_be_read_back_whole)
{
	const struct control_status status = full_status();

	control_enter_owner(&page, &owner, KEEP_HEAP);
	control_publish(&page, &status);
	memset(&snapshot, 0, sizeof(snapshot)); /* with what lies between the fields */
	cr_assert_eq(control_read(&page, &snapshot), 0);
	cr_assert_eq(snapshot.keep, KEEP_HEAP);
	cr_assert_arr_eq(&snapshot.status, &status, offsetof(struct control_status, why) + 192);
	cr_assert_str_eq(snapshot.owner.program, "redis");
}

Test(control, a_reason_without_end_is_cut)
{
	struct control_status status = {0};

	memset(status.why, 'x', sizeof(status.why));
	control_enter_owner(&page, &owner, KEEP_HEAP);
	control_publish(&page, &status);
	cr_assert_eq(control_read(&page, &snapshot), 0);
	cr_assert_eq(strlen(snapshot.status.why), sizeof(status.why) - 1);
}

Test(control, a_new_owner_has_no_status_of_the_old_one)
{
	const struct control_status status = full_status(), nothing = {0};

	control_enter_owner(&page, &owner, KEEP_HEAP);
	control_publish(&page, &status);
	control_enter_owner(&page, &owner, KEEP_HEAP);
	memset(&snapshot, 0xff, sizeof(snapshot));
	cr_assert_eq(control_read(&page, &snapshot), 0);
	cr_assert_eq(snapshot.status.epoch, 0);
	cr_assert_eq(snapshot.status.state, CONTROL_OK);
	cr_assert_arr_eq(snapshot.status.why, nothing.why, sizeof(nothing.why));
}

Test(control, leaving_in_the_middle_of_a_publish_breaks_neither)
{
	control_enter_owner(&page, &owner, KEEP_HEAP);
	page.seq |= 1; /* as the committer's control_publish() has it meanwhile */
	control_leave_owner(&page);
	cr_assert_eq(page.seq & 1, 1);
	page.seq++;
	cr_assert_eq(control_read(&page, &snapshot), 0);
	cr_assert_eq(snapshot.flags, 0);
}

Test(control, an_empty_page_is_invalid)
{
	cr_assert_eq(control_read(&page, &snapshot), -EINVAL);
}

Test(control, garbage_is_refused_and_the_snapshot_untouched)
{
	unsigned seed = 1;

	snapshot.flags = 77;
	for (int round = 0; round < 2000; round++) {
		for (size_t i = 0; i < sizeof(page); i++)
			((unsigned char *)&page)[i] = (unsigned char)rand_r(&seed);
		int result = control_read(&page, &snapshot);
		cr_assert(result == -EINVAL || result == -EAGAIN);
	}
	cr_assert_eq(snapshot.flags, 77);
}

Test(control, a_program_without_end_or_a_pid_below_one_is_garbage)
{
	control_enter_owner(&page, &owner, KEEP_NONE);
	page.pid = 0;
	cr_assert_eq(control_read(&page, &snapshot), -EINVAL);
	page.pid = 1;
	memset(page.program, 'x', sizeof(page.program));
	cr_assert_eq(control_read(&page, &snapshot), -EINVAL);
}

Test(control, states_that_do_not_exist_are_garbage)
{
	control_enter_owner(&page, &owner, KEEP_HEAP);
	page.state = CONTROL_CORRUPT + 1;
	cr_assert_eq(control_read(&page, &snapshot), -EINVAL);
	page.state = CONTROL_VETOED;
	cr_assert_eq(control_read(&page, &snapshot), 0);
	page.durability = DURABILITY_CACHE + 1;
	cr_assert_eq(control_read(&page, &snapshot), -EINVAL);
	page.durability = DURABILITY_CACHE;
	page.keep = KEEP_PROCESS + 1;
	cr_assert_eq(control_read(&page, &snapshot), -EINVAL);
	page.keep = KEEP_HEAP;
	memset(page.why, 'x', sizeof(page.why));
	cr_assert_eq(control_read(&page, &snapshot), -EINVAL);
}

Test(control, an_owner_that_died_writing_is_seen_and_the_next_repairs_it)
{
	control_enter_owner(&page, &owner, KEEP_NONE);
	page.seq |= 1;
	cr_assert_eq(control_read(&page, &snapshot), -EAGAIN);
	control_enter_owner(&page, &owner, KEEP_NONE);
	cr_assert_eq(control_read(&page, &snapshot), 0);
}

static bool has_stopped;

static void *keep_writing(void *unused)
{
	struct control_owner a = {.pid = 1, .start_ticks = 1};
	struct control_owner b = {.pid = 2, .start_ticks = 2};

	memset(a.program, 'a', sizeof(a.program) - 1);
	memset(b.program, 'b', sizeof(b.program) - 1);
	while (!__atomic_load_n(&has_stopped, __ATOMIC_RELAXED)) {
		control_enter_owner(&page, &a, KEEP_NONE);
		control_enter_owner(&page, &b, KEEP_NONE);
	}
	return unused;
}

Test(control, a_reader_never_sees_half_a_record)
{
	pthread_t writer;
	int whole = 0, torn = 0;

	control_enter_owner(&page, &owner, KEEP_NONE);
	cr_assert_eq(pthread_create(&writer, NULL, keep_writing, NULL), 0);
	/* Until enough was seen; the bound is for a machine that never lets the writer run. */
	for (long i = 0; whole < 1000 && i < 100000000; i++) {
		if (control_read(&page, &snapshot) < 0 || snapshot.owner.pid == owner.pid)
			continue;
		whole++;
		char expected[64] = "";
		memset(expected, snapshot.owner.pid == 1 ? 'a' : 'b', sizeof(expected) - 1);
		torn += snapshot.owner.start_ticks != (uint64_t)snapshot.owner.pid ||
			memcmp(expected, snapshot.owner.program, sizeof(expected)) != 0;
	}
	__atomic_store_n(&has_stopped, true, __ATOMIC_RELAXED);
	pthread_join(writer, NULL);
	cr_assert_gt(whole, 0);
	cr_assert_eq(torn, 0);
}

/* ---- Requests ---- */

Test(control, a_request_is_pending_until_it_is_answered)
{
	uint32_t seen;

	control_enter_owner(&page, &owner, KEEP_HEAP);
	cr_assert(!control_pending(&page, &seen));
	uint32_t doorbell = control_doorbell(&page);
	uint32_t request = control_request(&page);
	cr_assert_neq(control_doorbell(&page), doorbell, "the bell has rung");
	cr_assert(control_pending(&page, &seen));
	cr_assert_eq(seen, request);
	cr_assert_eq(control_wait(&page, request, 0), -ETIMEDOUT);
	control_answer(&page, seen, 0);
	cr_assert(!control_pending(&page, &seen));
	cr_assert_eq(control_wait(&page, request, 0), 0);
}

Test(control, one_answer_serves_all_who_asked_before_and_nobody_after)
{
	uint32_t seen;

	control_enter_owner(&page, &owner, KEEP_HEAP);
	uint32_t first = control_request(&page), second = control_request(&page);
	cr_assert(control_pending(&page, &seen));
	uint32_t third = control_request(&page);
	control_answer(&page, seen, 0);
	cr_assert_eq(control_wait(&page, first, 0), 0);
	cr_assert_eq(control_wait(&page, second, 0), 0);
	cr_assert_eq(control_wait(&page, third, 0), -ETIMEDOUT);
	cr_assert(control_pending(&page, &seen), "the third is still to be done");
}

Test(control, a_failure_is_told_to_those_it_concerns)
{
	control_enter_owner(&page, &owner, KEEP_HEAP);
	uint32_t granted = control_request(&page);
	control_answer(&page, granted, 0);
	uint32_t failed = control_request(&page);
	control_answer(&page, failed, ENOSPC);
	cr_assert_eq(control_wait(&page, granted, 0), 0, "granted before");
	cr_assert_eq(control_wait(&page, failed, 0), -ENOSPC);
	control_answer(&page, control_request(&page), 0);
	cr_assert_eq(control_wait(&page, failed, 0), 0, "a later epoch holds it as well");
}

Test(control, numbers_may_wrap)
{
	control_enter_owner(&page, &owner, KEEP_HEAP);
	page.requests = page.requests_done = page.requests_durable = UINT32_MAX;
	uint32_t request = control_request(&page);
	cr_assert_eq(request, 0);
	cr_assert_eq(control_wait(&page, request, 0), -ETIMEDOUT);
	control_answer(&page, request, 0);
	cr_assert_eq(control_wait(&page, request, 0), 0);
}

Test(control, an_end_and_a_new_owner_refuse_what_was_asked_before)
{
	control_enter_owner(&page, &owner, KEEP_HEAP);
	uint32_t early = control_request(&page);
	control_leave_owner(&page);
	cr_assert_eq(control_wait(&page, early, 0), -ESHUTDOWN);
	uint32_t late = control_request(&page); /* nobody is there */
	control_enter_owner(&page, &owner, KEEP_HEAP);
	cr_assert_eq(control_wait(&page, late, 0), -ESHUTDOWN);
	uint32_t request = control_request(&page);
	cr_assert_eq(control_wait(&page, request, 0), -ETIMEDOUT);
	control_answer(&page, request, 0);
	cr_assert_eq(control_wait(&page, request, 0), 0);
}

Test(control, a_new_owner_grants_nothing_whatever_the_page_holds)
{
	unsigned seed = 2;
	uint32_t seen;

	for (int round = 0; round < 2000; round++) {
		for (size_t i = 0; i < sizeof(page); i++)
			((unsigned char *)&page)[i] = (unsigned char)rand_r(&seed);
		uint32_t early = control_request(&page);
		control_enter_owner(&page, &owner, KEEP_HEAP);
		cr_assert(!control_pending(&page, &seen));
		cr_assert_eq(control_wait(&page, early, 0), -ESHUTDOWN);
		uint32_t request = control_request(&page);
		cr_assert(control_pending(&page, &seen));
		control_answer(&page, seen, EIO);
		cr_assert_eq(control_wait(&page, request, 0), -EIO);
	}
}

Test(control, an_error_that_is_none_is_still_an_error)
{
	control_enter_owner(&page, &owner, KEEP_HEAP);
	uint32_t request = control_request(&page);
	control_answer(&page, request, EIO);
	page.request_error = 0;
	cr_assert_eq(control_wait(&page, request, 0), -EIO);
	page.request_error = -5;
	cr_assert_eq(control_wait(&page, request, 0), -EIO);
}

/* As the committer does it: sleeps for long, and is woken by the bell. */
static void *serve(void *unused)
{
	for (unsigned served = 0; served < 200;) {
		uint32_t doorbell = control_doorbell(&page), request;
		if (!control_pending(&page, &request)) {
			control_sleep(&page, doorbell, UINT64_C(60) * 1000000000);
			continue;
		}
		control_answer(&page, request, 0);
		served = request;
	}
	return unused;
}

static void *ask(void *unused)
{
	for (int i = 0; i < 50; i++)
		if (control_wait(&page, control_request(&page), UINT64_C(60) * 1000000000) != 0)
			return &page;
	return unused;
}

Test(control, no_ring_is_missed_and_every_waiter_is_woken, .timeout = 30)
{
	pthread_t server, askers[4];
	void *failure;

	control_enter_owner(&page, &owner, KEEP_HEAP);
	pthread_create(&server, NULL, serve, NULL);
	for (int i = 0; i < 4; i++)
		pthread_create(&askers[i], NULL, ask, NULL);
	for (int i = 0; i < 4; i++) {
		pthread_join(askers[i], &failure);
		cr_assert_null(failure);
	}
	pthread_join(server, NULL);
}
