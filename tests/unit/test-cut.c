/*
 * Cut: threads of every kind, and somebody who makes them stand still again and again.
 *
 * Each thread has a pair of counters; it makes one larger, and a moment later the other. Those that
 * do it in a section must be found equal at each cut; whatever they do, no counter may change while
 * a cut is held. The one who cuts is an ordinary thread that says nothing of itself, like the
 * committer.
 */
#include "checkpoint/cut.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "arena.h"
#include "line.h"
#include "os.h"

/* In a process of its own: Criterion's has a thread that we know nothing of. */
#define CUT_TEST(name)                                                                             \
	static void name(void *unused);                                                            \
	Test(cut, name)                                                                            \
	{                                                                                          \
		arena_assert_child(name, NULL);                                                    \
	}                                                                                          \
	static void name(void *unused)

#define THREADS_MAX 64
#define MS UINT64_C(1000000)
#define INTERVAL_NS (10 * MS)

struct worker {
	volatile uint64_t first, second;
	pthread_t thread;
	bool is_loose; /* its pair may be found unequal */
	char gap[64];
};

static struct worker workers[THREADS_MAX];
static unsigned worker_count;
static unsigned thinking_us; /* between two doings */
static _Atomic bool is_over;
static pthread_mutex_t shared_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t shared_cond = PTHREAD_COND_INITIALIZER;

static void sleep_us(unsigned us)
{
	nanosleep(&(struct timespec){.tv_nsec = (long)us * 1000}, NULL);
}

/* ---- What preload/ does around libc's calls ---- */

static struct os_sigaction libc_action;

static void handle(int number, siginfo_t *info, void *context)
{
	const ucontext_t *at = context;

	if (!cut_handle(info, (uintptr_t)at->uc_mcontext.gregs[REG_RIP]))
		libc_action.handler(number, info, context);
}

static void arm(void)
{
	struct os_sigaction now;

	if (os_sigaction(CUT_SIGNAL, NULL, &now) == 0 && now.handler != handle) {
		libc_action = now;
		os_sigaction(CUT_SIGNAL, handle, NULL);
	}
}

static void lock(pthread_mutex_t *mutex)
{
	cut_lock_begin();
	int result = pthread_mutex_trylock(mutex);
	while (result != 0) {
		cut_lock_wait(mutex);
		pthread_mutex_lock(mutex);
		if (cut_lock_woken())
			break;
		pthread_mutex_unlock(mutex);
		cut_lock_again();
		result = pthread_mutex_trylock(mutex);
	}
	cut_lock_held(mutex, (const void *)(uintptr_t)lock);
}

static bool try_lock(pthread_mutex_t *mutex)
{
	cut_lock_begin();
	const bool is_held = pthread_mutex_trylock(mutex) == 0;
	if (is_held)
		cut_lock_held(mutex, (const void *)(uintptr_t)try_lock);
	else
		cut_lock_failed();
	return is_held;
}

static void unlock(pthread_mutex_t *mutex)
{
	pthread_mutex_unlock(mutex);
	cut_unlocked(mutex);
}

/* ---- What threads do ---- */

static void change(struct worker *worker)
{
	worker->first++;
	for (volatile unsigned i = 0; i < 50 + worker->first % 200; i++)
		;
	worker->second++;
}

static void in_tx(struct worker *worker)
{
	cut_tx_enter();
	change(worker);
	cut_tx_leave();
}

static void under_shared_lock(struct worker *worker)
{
	lock(&shared_lock);
	change(worker);
	unlock(&shared_lock);
}

/* Between two holds it never parks: only the end of a lock's hold will do. */
static void under_own_lock(struct worker *worker)
{
	static _Thread_local pthread_mutex_t outer = PTHREAD_MUTEX_INITIALIZER;
	static _Thread_local pthread_mutex_t inner = PTHREAD_MUTEX_INITIALIZER;

	lock(&outer);
	worker->first++;
	lock(&inner);
	change(worker);
	unlock(&outer);
	worker->second++;
	unlock(&inner);
}

static void with_trylock(struct worker *worker)
{
	if (try_lock(&shared_lock)) {
		change(worker);
		unlock(&shared_lock);
	}
}

static void waiting_for_condition(struct worker *worker)
{
	struct cut_waiting waiting;
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec = (until.tv_nsec + 200000) % 1000000000;
	lock(&shared_lock);
	cut_cond_wait(&shared_lock, &waiting);
	pthread_cond_timedwait(&shared_cond, &shared_lock, &until);
	cut_cond_woken(&waiting);
	change(worker);
	pthread_cond_signal(&shared_cond);
	unlock(&shared_lock);
}

/* In and out of calls that may block, and changing things without any section. */
static void parked(struct worker *worker)
{
	worker->is_loose = true;
	cut_park();
	if (worker->first % 64 == 0)
		sleep_us(20);
	cut_unpark();
	change(worker);
}

static void computing(struct worker *worker)
{
	worker->is_loose = true;
	change(worker);
}

static void (*const doings[])(struct worker *) = {in_tx, under_shared_lock, under_own_lock,
	with_trylock, waiting_for_condition, parked, computing};

struct task {
	struct worker *worker;
	void (*doing)(struct worker *worker);
};
static struct task tasks[THREADS_MAX];

static void *work(void *argument)
{
	const struct task *task = argument;

	while (!is_over) {
		task->doing(task->worker);
		for (unsigned i = 0; i < thinking_us; i += 1000) {
			cut_park();
			sleep_us(1000);
			cut_unpark();
		}
	}
	return NULL;
}

static void start(void (*doing)(struct worker *worker))
{
	struct task *task = &tasks[worker_count];

	*task = (struct task){&workers[worker_count], doing};
	CHILD_MUST(pthread_create(&workers[worker_count++].thread, NULL, work, task) == 0);
}

/* ---- Cutting ---- */

#define GIVEN_UP_MAX 30 /* on a busy machine */

struct cutting {
	unsigned wanted, taken, given_up, forced, torn, moved;
	uint64_t interval_ns;
	struct cut_report last;
};

static uint64_t sum_of_all(void)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < THREADS_MAX; i++)
		sum += workers[i].first + workers[i].second;
	return sum;
}

static void *cut(void *argument)
{
	struct cutting *cutting = argument;

	while (cutting->taken < cutting->wanted && cutting->given_up <= GIVEN_UP_MAX) {
		if (cut_stop(cutting->interval_ns, &cutting->last) != 0) {
			cutting->given_up++;
			continue;
		}
		const uint64_t sum = sum_of_all();
		for (unsigned i = 0; i < THREADS_MAX; i++)
			cutting->torn += !workers[i].is_loose && workers[i].first != workers[i].second;
		sleep_us(cutting->taken % 8 ? 1 : 100);
		cutting->moved += sum != sum_of_all();
		cutting->taken++;
		cutting->forced += cutting->last.forced;
		cut_release(&cutting->last);
		sleep_us(20);
	}
	return NULL;
}

static void cut_open_here(void)
{
	alarm(200); /* it hangs */
	CHILD_MUST(cut_open(NULL, arm) == 0);
	arm();
}

/* The calling thread is parked meanwhile. */
static void cut_many(struct cutting *cutting)
{
	pthread_t cutter;

	cutting->interval_ns = cutting->interval_ns ? cutting->interval_ns : INTERVAL_NS;
	CHILD_MUST(pthread_create(&cutter, NULL, cut, cutting) == 0);
	cut_park();
	pthread_join(cutter, NULL);
	is_over = true;
	for (unsigned i = 0; i < worker_count; i++)
		pthread_join(workers[i].thread, NULL);
	cut_unpark();
}

static void assert_still(const struct cutting *cutting)
{
	if (cutting->torn || cutting->moved || cutting->taken < cutting->wanted)
		fprintf(stderr, "of %u cuts %u fell into sections, in %u somebody ran, %u failed: %s\n",
			cutting->taken, cutting->torn, cutting->moved, cutting->given_up,
			cutting->last.culprit);
	CHILD_MUST(cutting->torn == 0);
	CHILD_MUST(cutting->moved == 0);
	CHILD_MUST(cutting->taken == cutting->wanted);
}

static void cut_threads_doing(void (*doing)(struct worker *), unsigned threads, unsigned cuts)
{
	struct cutting cutting = {.wanted = cuts};

	cut_open_here();
	for (unsigned i = 0; i < threads; i++)
		start(doing);
	cut_many(&cutting);
	assert_still(&cutting);
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

	cut_open_here();
	start(computing);
	start(computing);
	cut_many(&cutting);
	assert_still(&cutting);
	CHILD_MUST(cutting.forced > 0);
}

CUT_TEST(of_an_annotated_program_forces_nobody)
{
	struct cutting cutting = {.wanted = 1000};

	cut_open_here();
	start(in_tx);
	start(in_tx);
	cut_many(&cutting);
	assert_still(&cutting);
	CHILD_MUST(cutting.forced == 0);
}

CUT_TEST(of_64_threads_of_all_kinds)
{
	struct cutting cutting = {.wanted = 50};

	cut_open_here();
	thinking_us = 5000;
	for (unsigned i = 0; i < 64; i++)
		start(doings[i % (sizeof(doings) / sizeof(doings[0]))]);
	cut_many(&cutting);
	CHILD_MUST(cutting.torn == 0);
	CHILD_MUST(cutting.moved == 0);
	CHILD_MUST(cutting.taken > 0);
}

/* ---- Threads that come and go ---- */

static void *live_shortly(void *argument)
{
	struct worker *worker = argument;

	for (unsigned i = 0; i < 20; i++)
		change(worker);
	for (unsigned i = 0; i < 5; i++)
		in_tx(worker);
	for (unsigned i = 0; i < 20; i++)
		change(worker);
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

	cut_open_here();
	for (unsigned i = 0; i < 9000; i++) {
		pthread_t thread;
		CHILD_MUST(pthread_create(&thread, NULL, say_something, NULL) == 0);
		pthread_join(thread, NULL);
	}
	cut_many(&cutting);
	assert_still(&cutting);
}

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

	lock(&for_life);
	is_held_for_life = true;
	while (!is_over) {
		lock(&lock_within);
		change(worker);
		unlock(&lock_within);
	}
	was_named = is_named_for_life();
	unlock(&for_life);
	return NULL;
}

CUT_TEST(waits_for_a_lock_a_second_and_then_for_those_within)
{
	struct cutting cutting = {.wanted = 200};

	cut_open_here();
	CHILD_MUST(pthread_create(&workers[worker_count].thread, NULL, hold_for_life,
				  &workers[worker_count]) == 0);
	worker_count++;
	while (!is_held_for_life)
		sleep_us(100);
	CHILD_MUST(!is_named_for_life());
	cut_many(&cutting);
	CHILD_MUST(cutting.torn == 0);
	CHILD_MUST(cutting.moved == 0);
	CHILD_MUST(cutting.taken == 200);
	CHILD_MUST(cutting.last.lifelong == 1);
	CHILD_MUST(was_named && !is_named_for_life());
}

static void *hold_and_wait_for_events(void *argument)
{
	static pthread_mutex_t for_life = PTHREAD_MUTEX_INITIALIZER;

	lock(&for_life);
	while (!is_over) {
		cut_park_event();
		sleep_us(500);
		cut_unpark();
	}
	unlock(&for_life);
	return NULL;
}

CUT_TEST(does_not_wait_for_a_lock_that_is_held_across_a_wait_for_events)
{
	struct cutting cutting = {.wanted = 100};

	cut_open_here();
	CHILD_MUST(pthread_create(&workers[worker_count++].thread, NULL,
				  hold_and_wait_for_events, NULL) == 0);
	cut_many(&cutting);
	assert_still(&cutting);
	CHILD_MUST(cutting.last.lifelong == 1);
}

/* Never held for a second, though it looks so at any time. */
static void holding_nearly_always(struct worker *worker)
{
	static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

	lock(&mutex);
	worker->first++;
	const uint64_t until_ns = os_clock_ns(CLOCK_MONOTONIC) + 300 * MS;
	while (os_clock_ns(CLOCK_MONOTONIC) < until_ns && !is_over)
		sleep_us(1000);
	worker->second++;
	unlock(&mutex);
}

CUT_TEST(takes_no_lock_for_lifelong_that_is_taken_again_and_again)
{
	struct cutting cutting = {.wanted = 1000};

	cut_open_here();
	start(holding_nearly_always);
	cut_many(&cutting);
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

	cut_open_here();
	CHILD_MUST(pthread_create(&outside, NULL, run_outside, NULL) == 0);
	while (!is_outside)
		sleep_us(100);
	CHILD_MUST(pthread_create(&thread, NULL, stay_in_tx, NULL) == 0);
	while (!is_held_for_life)
		sleep_us(100);
	start(under_shared_lock);
	cut_self->state = CUT_PARKED; /* for once, who cuts is known */
	const uint64_t before = sum_of_all();
	CHILD_MUST(cut_stop(INTERVAL_NS, &report) == CUT_E_GIVEN_UP);
	CHILD_MUST(strstr(report.culprit, "HSK_TX") != NULL);
	CHILD_MUST(sum_of_all() > before);
	may_leave = true;
	is_over = true;
	pthread_join(outside, NULL);
	pthread_join(thread, NULL);
	pthread_join(workers[0].thread, NULL);
}

static void *want_second_lock(void *argument)
{
	static pthread_mutex_t first = PTHREAD_MUTEX_INITIALIZER;

	lock(&first);
	lock(&shared_lock);
	unlock(&shared_lock);
	unlock(&first);
	return NULL;
}

static void *find_deadlock(void *argument)
{
	struct cut_report report;
	int *status = argument;

	*status = cut_stop(INTERVAL_NS, &report);
	return NULL;
}

CUT_TEST(is_told_who_waits_for_it_with_a_lock_that_a_section_waits_for)
{
	pthread_t thread, cutter;
	int status = 0;

	cut_open_here();
	lock(&shared_lock);
	CHILD_MUST(pthread_create(&thread, NULL, want_second_lock, NULL) == 0);
	cut_park_for_cut();
	CHILD_MUST(!cut_is_deadlock());
	CHILD_MUST(pthread_create(&cutter, NULL, find_deadlock, &status) == 0);
	pthread_join(cutter, NULL);
	CHILD_MUST(status == CUT_E_DEADLOCK);
	CHILD_MUST(cut_is_deadlock());
	cut_unpark();
	unlock(&shared_lock);
	pthread_join(thread, NULL);
}

/* ---- Signals of the program's, and children ---- */

static _Thread_local struct worker *interrupted_worker;

static void count(int number)
{
	const struct cut_interrupted interrupted = cut_handler_enter();
	change(interrupted_worker);
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

	cut_open_here();
	start(interrupted);
	while (!workers[0].is_loose)
		sleep_us(100);
	signal(SIGUSR1, count);
	start(interrupting);
	cut_many(&cutting);
	assert_still(&cutting);
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

	cut_open_here();
	start(forking);
	start(forking);
	cut_many(&cutting);
	assert_still(&cutting);
	CHILD_MUST(workers[0].first + workers[1].first == 0);
}

CUT_TEST(passes_libc_its_own_signals_on)
{
	const siginfo_t info = {.si_signo = CUT_SIGNAL, .si_code = SI_TKILL};

	cut_open_here();
	CHILD_MUST(!cut_handle(&info, 0));
}
