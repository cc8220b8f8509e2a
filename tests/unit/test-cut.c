/*
 * Cut: threads of every kind stand still at each, none of them in a section (cutting.h).
 */
#include "cutting.h"

#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- What threads do ---- */

/* Between two holds it never parks: only the end of a lock's hold will do. */
static void under_own_lock(struct worker *worker)
{
	static _Thread_local pthread_mutex_t outer = PTHREAD_MUTEX_INITIALIZER;
	static _Thread_local pthread_mutex_t inner = PTHREAD_MUTEX_INITIALIZER;

	worker_lock(&outer);
	worker->first++;
	worker_lock(&inner);
	worker_change(worker);
	worker_unlock(&outer);
	worker->second++;
	worker_unlock(&inner);
}

static void with_trylock(struct worker *worker)
{
	if (worker_try_lock(&shared_lock)) {
		worker_change(worker);
		worker_unlock(&shared_lock);
	}
}

static void waiting_for_condition(struct worker *worker)
{
	static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
	struct cut_waiting waiting;
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec = (until.tv_nsec + 200000) % 1000000000;
	worker_lock(&shared_lock);
	cut_cond_wait(&shared_lock, &waiting);
	pthread_cond_timedwait(&cond, &shared_lock, &until);
	cut_cond_woken(&waiting);
	worker_change(worker);
	pthread_cond_signal(&cond);
	worker_unlock(&shared_lock);
}

/* In and out of calls that may block, and changing things without any section. */
static void parked(struct worker *worker)
{
	worker->is_loose = true;
	cut_park();
	if (worker->first % 64 == 0)
		sleep_us(20);
	cut_unpark();
	worker_change(worker);
}

static void computing(struct worker *worker)
{
	worker->is_loose = true;
	worker_change(worker);
}

static void (*const doings[])(struct worker *) = {in_tx, under_shared_lock, under_own_lock,
	with_trylock, waiting_for_condition, parked, computing};

static void cut_threads_doing(void (*doing)(struct worker *), unsigned threads, unsigned cuts)
{
	struct cutting cutting = {.wanted = cuts};

	cutting_open();
	for (unsigned i = 0; i < threads; i++)
		worker_start(doing);
	cutting_run(&cutting);
	cutting_assert_still(&cutting);
}

CUT_TEST(never_falls_into_a_transaction)
{
	cut_threads_doing(in_tx, 4, 1000);
}

CUT_TEST(never_falls_into_the_hold_of_a_contended_lock)
{
	cut_threads_doing(under_shared_lock, 4, 300);
}

CUT_TEST(never_falls_between_the_locks_of_a_chain)
{
	cut_threads_doing(under_own_lock, 3, 100);
}

CUT_TEST(never_falls_into_a_lock_that_was_tried)
{
	cut_threads_doing(with_trylock, 4, 300);
}

CUT_TEST(goes_by_threads_that_wait_for_a_condition)
{
	cut_threads_doing(waiting_for_condition, 4, 300);
}

CUT_TEST(holds_whoever_comes_back_from_a_call_that_blocked)
{
	cut_threads_doing(parked, 3, 5000);
}

CUT_TEST(stops_threads_that_say_nothing)
{
	struct cutting cutting = {.wanted = 200};

	cutting_open();
	worker_start(computing);
	worker_start(computing);
	cutting_run(&cutting);
	cutting_assert_still(&cutting);
	CHILD_MUST(cutting.forced > 0);
}

CUT_TEST(of_an_annotated_program_forces_nobody)
{
	struct cutting cutting = {.wanted = 1000};

	cutting_open();
	worker_start(in_tx);
	worker_start(in_tx);
	cutting_run(&cutting);
	cutting_assert_still(&cutting);
	CHILD_MUST(cutting.forced == 0);
}

CUT_TEST(of_64_threads_of_all_kinds)
{
	struct cutting cutting = {.wanted = 50};

	cutting_open();
	thinking_us = 5000;
	for (unsigned i = 0; i < 64; i++)
		worker_start(doings[i % (sizeof(doings) / sizeof(doings[0]))]);
	cutting_run(&cutting);
	CHILD_MUST(cutting.torn == 0);
	CHILD_MUST(cutting.moved == 0);
	CHILD_MUST(cutting.taken > 0);
}

/* ---- Threads that come and go ---- */

static void *live_shortly(void *argument)
{
	struct worker *worker = argument;

	for (unsigned i = 0; i < 20; i++)
		worker_change(worker);
	for (unsigned i = 0; i < 5; i++)
		in_tx(worker);
	for (unsigned i = 0; i < 20; i++)
		worker_change(worker);
	return NULL;
}

static void making_threads(struct worker *worker)
{
	pthread_t thread;

	worker->is_loose = true;
	if (pthread_create(&thread, NULL, live_shortly, worker) != 0)
		return;
	cut_park();
	pthread_join(thread, NULL);
	cut_unpark();
}

CUT_TEST(holds_threads_that_have_just_begun_though_others_have_just_ended)
{
	cut_threads_doing(making_threads, 3, 300);
}

static void *say_something(void *argument)
{
	cut_tx_enter();
	cut_tx_leave();
	return NULL;
}

CUT_TEST(has_records_for_any_number_of_threads_one_after_the_other)
{
	struct cutting cutting = {.wanted = 3};

	cutting_open();
	for (unsigned i = 0; i < 9000; i++) {
		pthread_t thread;
		CHILD_MUST(pthread_create(&thread, NULL, say_something, NULL) == 0);
		pthread_join(thread, NULL);
	}
	cutting_run(&cutting);
	cutting_assert_still(&cutting);
}

/* ---- Signals of the program's, and children ---- */

static _Thread_local struct worker *interrupted_worker;

static void count(int number)
{
	const struct cut_interrupted interrupted = cut_handler_enter();
	worker_change(interrupted_worker);
	cut_handler_leave(interrupted);
}

static void interrupted(struct worker *worker)
{
	worker->is_loose = true;
	interrupted_worker = worker;
	cut_park();
	sleep_us(1000);
	cut_unpark();
}

static void interrupting(struct worker *worker)
{
	cut_park();
	sleep_us(30);
	cut_unpark();
	pthread_kill(workers[0].thread, SIGUSR1);
}

CUT_TEST(holds_handlers_that_interrupt_a_parked_thread)
{
	signal(SIGUSR1, SIG_IGN);
	struct cutting cutting = {.wanted = 1000};

	cutting_open();
	worker_start(interrupted);
	while (!workers[0].is_loose)
		sleep_us(100);
	signal(SIGUSR1, count);
	worker_start(interrupting);
	cutting_run(&cutting);
	cutting_assert_still(&cutting);
}

static void *live_in_child(void *argument)
{
	alarm(20); /* SIGALRM: it hangs */
	for (unsigned i = 0; i < 1000; i++) {
		under_shared_lock(argument);
		in_tx(argument);
		parked(argument);
	}
	_exit(0);
}

/* By number, so that nobody is told: the gates may have been closed just then. */
static void forking(struct worker *worker)
{
	int status = -1;
	const pid_t child = (pid_t)syscall(SYS_fork);

	if (child == 0)
		live_in_child(&(struct worker){.first = 0});
	worker->is_loose = true;
	cut_park();
	waitpid(child, &status, 0);
	cut_unpark();
	worker->first += status != 0;
}

CUT_TEST(leaves_children_alone)
{
	struct cutting cutting = {.wanted = 300};

	cutting_open();
	worker_start(forking);
	worker_start(forking);
	cutting_run(&cutting);
	cutting_assert_still(&cutting);
	CHILD_MUST(workers[0].first + workers[1].first == 0);
}

CUT_TEST(passes_libc_its_own_signals_on)
{
	const siginfo_t info = {.si_signo = CUT_SIGNAL, .si_code = SI_TKILL};

	cutting_open();
	CHILD_MUST(!cut_handle(&info, 0));
}
