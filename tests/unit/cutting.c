/*
 * See cutting.h. Workers are kept in one array, so that who cuts can look at all of them.
 */
#include "cutting.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "os.h"

#define GIVEN_UP_MAX 30 /* on a busy machine */

struct worker workers[THREADS_MAX];
unsigned worker_count;
unsigned thinking_us;
_Atomic bool is_over;
pthread_mutex_t shared_lock = PTHREAD_MUTEX_INITIALIZER;

void sleep_us(unsigned us)
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

void worker_lock(pthread_mutex_t *mutex)
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
	cut_lock_held(mutex, (const void *)(uintptr_t)worker_lock);
}

bool worker_try_lock(pthread_mutex_t *mutex)
{
	cut_lock_begin();
	const bool is_held = pthread_mutex_trylock(mutex) == 0;
	if (is_held)
		cut_lock_held(mutex, (const void *)(uintptr_t)worker_try_lock);
	else
		cut_lock_failed();
	return is_held;
}

void worker_unlock(pthread_mutex_t *mutex)
{
	pthread_mutex_unlock(mutex);
	cut_unlocked(mutex);
}

void worker_change(struct worker *worker)
{
	worker->first++;
	for (volatile unsigned i = 0; i < 50 + worker->first % 200; i++)
		;
	worker->second++;
}

void in_tx(struct worker *worker)
{
	cut_tx_enter();
	worker_change(worker);
	cut_tx_leave();
}

void under_shared_lock(struct worker *worker)
{
	worker_lock(&shared_lock);
	worker_change(worker);
	worker_unlock(&shared_lock);
}

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

void worker_start(void (*doing)(struct worker *worker))
{
	struct task *task = &tasks[worker_count];

	*task = (struct task){&workers[worker_count], doing};
	CHILD_MUST(pthread_create(&workers[worker_count++].thread, NULL, work, task) == 0);
}

/* ---- Cutting ---- */

uint64_t worker_sum(void)
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
		const uint64_t sum = worker_sum();
		for (unsigned i = 0; i < THREADS_MAX; i++)
			cutting->torn += !workers[i].is_loose && workers[i].first != workers[i].second;
		sleep_us(cutting->taken % 8 ? 1 : 100);
		cutting->moved += sum != worker_sum();
		cutting->taken++;
		cutting->forced += cutting->last.forced;
		cut_release(&cutting->last);
		sleep_us(20);
	}
	return NULL;
}

void cutting_open(void)
{
	alarm(200); /* it hangs */
	CHILD_MUST(cut_open(NULL, arm) == 0);
	arm();
}

void cutting_run(struct cutting *cutting)
{
	pthread_t cutter;

	cutting->interval_ns = cutting->interval_ns ? cutting->interval_ns : CUTTING_INTERVAL_NS;
	CHILD_MUST(pthread_create(&cutter, NULL, cut, cutting) == 0);
	cut_park();
	pthread_join(cutter, NULL);
	is_over = true;
	for (unsigned i = 0; i < worker_count; i++)
		pthread_join(workers[i].thread, NULL);
	cut_unpark();
}

void cutting_assert_still(const struct cutting *cutting)
{
	if (cutting->torn || cutting->moved || cutting->taken < cutting->wanted)
		fprintf(stderr, "of %u cuts %u fell into sections, in %u somebody ran, %u failed: %s\n",
			cutting->taken, cutting->torn, cutting->moved, cutting->given_up,
			cutting->last.culprit);
	CHILD_MUST(cutting->torn == 0);
	CHILD_MUST(cutting->moved == 0);
	CHILD_MUST(cutting->taken == cutting->wanted);
}
