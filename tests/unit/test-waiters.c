/* Who wants an epoch hears how one ended that was cut after it asked. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>

#include "checkpoint/waiters.h"

TestSuite(waiters, .timeout = 60);

Test(waiters, one_cut_serves_all_who_asked_before_it_and_nobody_later)
{
	const struct ticket first = waiters_draw(), second = waiters_draw();
	const uint32_t served = waiters_newest();
	const struct ticket late = waiters_draw();

	waiters_settle(served, -EIO);
	cr_assert_eq(waiters_wait(first, -1), -EIO);
	cr_assert_eq(waiters_wait(second, 0), -EIO);
	cr_assert(waiters_are_there());
	cr_assert_eq(waiters_wait(late, 1), -ETIMEDOUT);
	waiters_settle(waiters_newest(), 0);
	cr_assert_eq(waiters_wait(late, -1), 0);
	cr_assert(!waiters_are_there());
}

static void *wait_for_ever(void *ticket)
{
	return (void *)(intptr_t)waiters_wait(*(struct ticket *)ticket, -1);
}

Test(waiters, nobody_waits_when_no_epoch_comes_any_more)
{
	struct ticket before = waiters_draw();
	pthread_t thread;
	void *error;

	pthread_create(&thread, NULL, wait_for_ever, &before);
	waiters_shut();
	pthread_join(thread, &error);
	cr_assert_eq((intptr_t)error, -ESHUTDOWN);
	const struct ticket after = waiters_draw();
	cr_assert_eq(waiters_wait(after, -1), -ESHUTDOWN);
}
