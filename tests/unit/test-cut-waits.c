/*
 * Cut: what it waits for, for how long, and whom it names when it gives up (cutting.h).
 */
#include "cutting.h"

#include <string.h>
#include <sys/resource.h>

#include "line.h"
#include "os.h"

/* ---- Locks for life ---- */

static _Atomic bool is_held_for_life, was_named;

static bool is_named_for_life(void)
{
	char text[128];
	struct line line = line_in(text, sizeof(text));

	cut_name_lifelong(&line);
	return strncmp(text, "thread ", 7) == 0 && strstr(text, " holds lock 0x");
}

static void *hold_for_life(void *argument)
{
	static pthread_mutex_t for_life = PTHREAD_MUTEX_INITIALIZER;
	static pthread_mutex_t lock_within = PTHREAD_MUTEX_INITIALIZER;
	struct worker *worker = argument;

	worker_lock(&for_life);
	is_held_for_life = true;
	while (!is_over) {
		worker_lock(&lock_within);
		worker_change(worker);
		worker_unlock(&lock_within);
	}
	was_named = is_named_for_life();
	worker_unlock(&for_life);
	return NULL;
}

CUT_TEST(waits_for_a_lock_a_second_and_then_for_those_within)
{
	struct cutting cutting = {.wanted = 200};

	cutting_open();
	CHILD_MUST(pthread_create(&workers[worker_count].thread, NULL, hold_for_life,
				  &workers[worker_count]) == 0);
	worker_count++;
	while (!is_held_for_life)
		sleep_us(100);
	CHILD_MUST(!is_named_for_life());
	cutting_run(&cutting);
	CHILD_MUST(cutting.torn == 0);
	CHILD_MUST(cutting.moved == 0);
	CHILD_MUST(cutting.taken == 200);
	CHILD_MUST(cutting.last.lifelong == 1);
	CHILD_MUST(was_named && !is_named_for_life());
}

static void *hold_and_wait_for_events(void *argument)
{
	static pthread_mutex_t for_life = PTHREAD_MUTEX_INITIALIZER;

	worker_lock(&for_life);
	while (!is_over) {
		cut_park_event();
		sleep_us(500);
		cut_unpark();
	}
	worker_unlock(&for_life);
	return NULL;
}

CUT_TEST(does_not_wait_for_a_lock_that_is_held_across_a_wait_for_events)
{
	struct cutting cutting = {.wanted = 100};

	cutting_open();
	CHILD_MUST(pthread_create(&workers[worker_count++].thread, NULL,
				  hold_and_wait_for_events, NULL) == 0);
	cutting_run(&cutting);
	cutting_assert_still(&cutting);
	CHILD_MUST(cutting.last.lifelong == 1);
}

/* Freed while it is held, or given back by another thread. */
static void *never_give_back(void *argument)
{
	static char locks[8 * CUT_HOLDS_MAX];

	for (unsigned i = 0; i < sizeof(locks); i++) {
		cut_lock_begin();
		cut_lock_held(&locks[i], NULL);
	}
	while (!is_over)
		worker_change(argument);
	return NULL;
}

CUT_TEST(goes_on_though_more_locks_than_are_told_apart_are_never_given_back)
{
	struct cutting cutting = {.wanted = 100};

	cutting_open();
	worker_start(under_shared_lock);
	CHILD_MUST(pthread_create(&workers[worker_count].thread, NULL, never_give_back,
				  &workers[worker_count]) == 0);
	workers[worker_count++].is_loose = true;
	cutting_run(&cutting);
	cutting_assert_still(&cutting);
}

/* Never held for a second, though it looks so at any time. */
static void holding_nearly_always(struct worker *worker)
{
	static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

	worker_lock(&mutex);
	worker->first++;
	const uint64_t until_ns = os_clock_ns(CLOCK_MONOTONIC) + 300 * CUTTING_MS;
	while (os_clock_ns(CLOCK_MONOTONIC) < until_ns && !is_over)
		sleep_us(1000);
	worker->second++;
	worker_unlock(&mutex);
}

CUT_TEST(takes_no_lock_for_lifelong_that_is_taken_again_and_again)
{
	struct cutting cutting = {.wanted = 1000};

	cutting_open();
	worker_start(holding_nearly_always);
	cutting_run(&cutting);
	CHILD_MUST(cutting.torn == 0);
	CHILD_MUST(cutting.last.lifelong == 0);
}

/* ---- Giving up ---- */

static _Atomic bool may_leave;

static void *stay_in_tx(void *argument)
{
	cut_tx_enter();
	is_held_for_life = true;
	while (!may_leave)
		sleep_us(1000);
	cut_tx_leave();
	return NULL;
}

static _Atomic bool is_outside;

/* Could be stopped at any time, and is not waited for. */
static void *run_outside(void *argument)
{
	(void)cut_thread();
	is_outside = true;
	while (!is_over)
		continue;
	return NULL;
}

CUT_TEST(gives_up_and_names_who_stays_in_a_transaction)
{
	struct cut_report report;
	pthread_t outside, thread;

	cutting_open();
	CHILD_MUST(pthread_create(&outside, NULL, run_outside, NULL) == 0);
	while (!is_outside)
		sleep_us(100);
	CHILD_MUST(pthread_create(&thread, NULL, stay_in_tx, NULL) == 0);
	while (!is_held_for_life)
		sleep_us(100);
	worker_start(under_shared_lock);
	cut_self->state = CUT_PARKED; /* for once, who cuts is known */
	const uint64_t before = worker_sum();
	CHILD_MUST(cut_stop(CUTTING_INTERVAL_NS, &report) == CUT_E_GIVEN_UP);
	CHILD_MUST(strstr(report.culprit, "HSK_TX") != NULL);
	CHILD_MUST(worker_sum() > before);
	may_leave = true;
	is_over = true;
	pthread_join(outside, NULL);
	pthread_join(thread, NULL);
	pthread_join(workers[0].thread, NULL);
}

CUT_TEST(says_if_no_signal_can_be_sent)
{
	struct rlimit limit;
	struct cut_report report;
	pthread_t outside;

	cutting_open();
	CHILD_MUST(pthread_create(&outside, NULL, run_outside, NULL) == 0);
	while (!is_outside)
		sleep_us(100);
	CHILD_MUST(getrlimit(RLIMIT_SIGPENDING, &limit) == 0);
	limit.rlim_cur = 0;
	CHILD_MUST(setrlimit(RLIMIT_SIGPENDING, &limit) == 0);
	cut_self->state = CUT_PARKED;
	CHILD_MUST(cut_stop(CUTTING_INTERVAL_NS, &report) == CUT_E_GIVEN_UP);
	CHILD_MUST(strstr(report.culprit, "RLIMIT_SIGPENDING") != NULL);
	is_over = true;
	pthread_join(outside, NULL);
}

static void *want_second_lock(void *argument)
{
	static pthread_mutex_t first = PTHREAD_MUTEX_INITIALIZER;

	worker_lock(&first);
	worker_lock(&shared_lock);
	worker_unlock(&shared_lock);
	worker_unlock(&first);
	return NULL;
}

static void *find_deadlock(void *argument)
{
	struct cut_report report;
	int *status = argument;

	*status = cut_stop(CUTTING_INTERVAL_NS, &report);
	return NULL;
}

CUT_TEST(is_told_who_waits_for_it_with_a_lock_that_a_section_waits_for)
{
	pthread_t thread, cutter;
	int status = 0;

	cutting_open();
	worker_lock(&shared_lock);
	CHILD_MUST(pthread_create(&thread, NULL, want_second_lock, NULL) == 0);
	cut_park_for_cut();
	CHILD_MUST(!cut_is_deadlock());
	CHILD_MUST(pthread_create(&cutter, NULL, find_deadlock, &status) == 0);
	pthread_join(cutter, NULL);
	CHILD_MUST(status == CUT_E_DEADLOCK);
	CHILD_MUST(cut_is_deadlock());
	cut_unpark();
	worker_unlock(&shared_lock);
	pthread_join(thread, NULL);
}
