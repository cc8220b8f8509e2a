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
