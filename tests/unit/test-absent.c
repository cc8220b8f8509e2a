/* Who has not come to a stop yet is counted, whoever else is late for the one before. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>

#include "process/absent.h"

TestSuite(absent, .timeout = 60);

static struct absent absent;

static void begin(uint32_t generation, unsigned count)
{
	absent_begin(&absent, generation);
	for (unsigned i = 0; i < count; i++)
		absent_add(&absent);
}

Test(absent, who_comes_is_counted_once)
{
	begin(7, 3);
	for (unsigned left = 3; left; left--) {
		cr_assert_eq(absent_count(&absent), left);
		cr_assert(absent_come(&absent, 7));
	}
	cr_assert_eq(absent_count(&absent), 0);
}

Test(absent, who_is_late_for_the_stop_before_is_not)
{
	begin(7, 2);
	cr_assert(absent_come(&absent, 7));
	begin(8, 2);
	cr_assert_not(absent_come(&absent, 7));
	cr_assert_eq(absent_count(&absent), 2);
	begin(UINT32_MAX, 1);
	begin(0, 1);
	cr_assert_not(absent_come(&absent, UINT32_MAX));
	cr_assert(absent_come(&absent, 0));
	cr_assert_eq(absent_count(&absent), 0);
}

static void *come(void *delay_us)
{
	os_sleep_ns((uintptr_t)delay_us * 1000);
	absent_come(&absent, 9);
	absent_come(&absent, 8); /* late, while it is awaited */
	return NULL;
}

Test(absent, the_last_one_wakes_who_waits)
{
	const struct timespec most = {.tv_sec = 30};
	pthread_t threads[3];
	uint32_t left = 3;
	long result = 0;

	begin(9, 3);
	for (uintptr_t i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, come, (void *)(i * 20000)); /* NOLINT */
	while (left) {
		left = absent_await(&absent, &most, &result);
		cr_assert_neq(result, -ETIMEDOUT);
	}
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	cr_assert_eq(absent.word, UINT64_C(9) << 32, "nobody is awaited any more");
}

Test(absent, nobody_comes_in_time)
{
	const struct timespec most = {.tv_nsec = 1000000};
	long result;

	begin(3, 2);
	cr_assert_eq(absent_await(&absent, &most, &result), 2);
	cr_assert_eq(result, -ETIMEDOUT);
	begin(4, 0);
	cr_assert_eq(absent_await(&absent, &most, &result), 0, "at once");
}
