/*
 * Threads of every kind, stopped again and again by one that libc does not know: each stop finds
 * all of them, none runs while it is held, none is found in a section of ours, and none is lost.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "process/threads-parts.h"
#include "os.h"
#include "ours.h"

#define STOPS 500
#define SLOTS 64
#define PATIENCE_NS UINT64_C(20000000000)

static struct { volatile uint64_t first, second; char gap[112]; } counters[SLOTS];
static _Atomic bool is_over;
static int to_reader[2];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;

static void must(bool is_so, const char *what)
{
	if (is_so)
		return;
	fprintf(stderr, "threads-stop: %s\n", what);
	_exit(1);
}

/* ---- What they do, each on its counter ---- */

static void *compute(void *slot)
{
	while (!is_over)
		counters[(intptr_t)slot].first++;
	return NULL;
}

static void *read_pipe(void *slot)
{
	char byte;

	while (read(to_reader[0], &byte, 1) == 1) /* restarted: never EINTR */
		counters[(intptr_t)slot].first++;
	must(is_over, "a read ended early");
	return NULL;
}

static void *wait_for_cond(void *slot)
{
	pthread_mutex_lock(&mutex);
	while (!is_over) {
		pthread_cond_wait(&cond, &mutex);
		counters[(intptr_t)slot].first++;
	}
	pthread_mutex_unlock(&mutex);
	return NULL;
}

static void *sleep_and_wake(void *slot)
{
	while (!is_over) {
		nanosleep(&(struct timespec){.tv_nsec = 300000}, NULL);
		counters[(intptr_t)slot].first++;
		pthread_cond_broadcast(&cond);
		must(write(to_reader[1], "", 1) == 1, "a write failed");
	}
	return NULL;
}

static void *shortly(void *slot)
{
	for (unsigned i = 0; i < 1000; i++)
		counters[(intptr_t)slot].first++;
	return NULL;
}

static void *make_threads(void *slot)
{
	while (!is_over) {
		pthread_t some[4];
		for (unsigned i = 0; i < 4; i++)
			must(pthread_create(&some[i], NULL, shortly, slot) == 0, "no thread");
		for (unsigned i = 0; i < 4; i++)
			pthread_join(some[i], NULL);
	}
	return NULL;
}

/* With their processors chosen, threads wait for their makers before they can be stopped. */
static void *make_chosen_threads(void *slot)
{
	pthread_attr_t attr;
	cpu_set_t all;

	CPU_ZERO(&all);
	CPU_SET(0, &all);
	pthread_attr_init(&attr);
	pthread_attr_setaffinity_np(&attr, sizeof(all), &all);
	while (!is_over) {
		pthread_t one;
		must(pthread_create(&one, &attr, shortly, slot) == 0, "no thread");
		pthread_join(one, NULL);
	}
	return NULL;
}

static void *work_on_ours(void *slot)
{
	while (!is_over) {
		ours_enter();
		counters[(intptr_t)slot].first++;
		for (volatile int i = 0; i < 100; i++)
			;
		counters[(intptr_t)slot].second++;
		ours_leave();
	}
	return NULL;
}

static void *start_programs(void *slot)
{
	while (!is_over) {
		must(system("exec true") == 0, "system failed");
		counters[(intptr_t)slot].first++;
	}
	return NULL;
}

static void *(*const kinds[])(void *) = {compute, compute, read_pipe, wait_for_cond,
	sleep_and_wake, make_threads, make_chosen_threads, work_on_ours, work_on_ours, start_programs};
#define KINDS (sizeof(kinds) / sizeof(*kinds))
#define FIRST_OURS 7 /* and the next */

/* ---- Who stops them ---- */

static unsigned taken, moved, torn, uncounted, threads_most;
static int stop_error;
static char why[192];
static uint32_t stopper_is_alive;

static uint64_t sum_of_all(void)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < SLOTS; i++)
		sum += counters[i].first + counters[i].second;
	return sum;
}

static unsigned threads_listed(void)
{
	struct stat st;

	return os_stat("/proc/self/task", &st) == 0 ? (unsigned)st.st_nlink - 2 : 0;
}

static void stop_all_the_time(void *unused)
{
	while (taken < STOPS && stop_error == 0) {
		stop_error = threads_stop(PATIENCE_NS, why);
		if (stop_error)
			break;
		const uint64_t before = sum_of_all();
		for (unsigned i = FIRST_OURS; i < FIRST_OURS + 2; i++)
			torn += counters[i].first != counters[i].second;
		uncounted += threads_listed() != threads_shared.count + 1;
		os_sleep_ns(taken % 8 ? 1000 : 100000);
		moved += before != sum_of_all();
		if (threads_shared.count > threads_most)
			threads_most = threads_shared.count;
		threads_release();
		taken++;
		os_sleep_ns(20000);
	}
}

static void stop_many(void)
{
	must(os_thread_start(stop_all_the_time, NULL, 1 << 20, &stopper_is_alive) == 0, "no stopper");
	while (__atomic_load_n(&stopper_is_alive, __ATOMIC_ACQUIRE))
		os_futex_wait(&stopper_is_alive, 1, NULL);
	if (stop_error || moved || torn || uncounted)
		fprintf(stderr, "threads-stop: %u stops (%d, %s), somebody ran in %u, %u in sections of "
			"ours, %u not found\n", taken, stop_error, why, moved, torn, uncounted);
	must(stop_error == 0 && moved == 0 && torn == 0 && uncounted == 0, "stopping failed");
}

static void stop_all_kinds(void)
{
	pthread_t threads[KINDS];

	must(pipe(to_reader) == 0, "no pipe");
	for (size_t i = 0; i < KINDS; i++)
		must(pthread_create(&threads[i], NULL, kinds[i], (void *)i) == 0, "no thread");
	stop_many();
	is_over = true;
	pthread_cond_broadcast(&cond);
	pthread_join(threads[4], NULL);
	close(to_reader[1]);
	pthread_cond_broadcast(&cond);
	for (size_t i = 0; i < KINDS; i++)
		if (i != 4)
			pthread_join(threads[i], NULL);
	printf("threads-stop: %u stops, up to %u threads\n", taken, threads_most);
}

/* ---- One that cannot be stopped ---- */

static _Atomic bool is_blocked;

static void *block_everything(void *unused)
{
	const uint64_t before = os_sigmask(~UINT64_C(0));

	is_blocked = true;
	while (!is_over)
		os_sleep_ns(1000000);
	os_sigmask(before);
	return NULL;
}

/* Whoever else is only slow to stop may be named first: then with more patience. */
static void stop_in_vain(void *unused)
{
	for (uint64_t patience_ns = 100000000; patience_ns < PATIENCE_NS; patience_ns *= 2) {
		stop_error = threads_stop(patience_ns, why);
		if (stop_error != -EAGAIN || strstr(why, "(stubborn) does not stop"))
			return;
	}
}

static void name_who_does_not_stop(void)
{
	pthread_t thread, other;

	is_over = false;
	must(pthread_create(&thread, NULL, block_everything, NULL) == 0, "no thread");
	must(pthread_create(&other, NULL, compute, (void *)0) == 0, "no thread");
	pthread_setname_np(thread, "stubborn");
	while (!is_blocked)
		usleep(100);
	must(os_thread_start(stop_in_vain, NULL, 1 << 20, &stopper_is_alive) == 0, "no stopper");
	while (__atomic_load_n(&stopper_is_alive, __ATOMIC_ACQUIRE))
		os_futex_wait(&stopper_is_alive, 1, NULL);
	must(stop_error == -EAGAIN, "a thread that blocks everything was stopped");
	must(strstr(why, "(stubborn) does not stop") != NULL, why);
	const uint64_t before = sum_of_all();
	while (sum_of_all() == before) /* the other one goes on */
		usleep(100);
	is_over = true;
	pthread_join(thread, NULL);
	pthread_join(other, NULL);
	stop_error = 0;
	taken = STOPS - 100; /* and they can be stopped again */
	is_over = false;
	must(pthread_create(&other, NULL, compute, (void *)0) == 0, "no thread");
	stop_many();
	is_over = true;
	pthread_join(other, NULL);
}

/* ---- Where a limit forbids it, that is said ---- */

static void stop_shortly(void *unused)
{
	stop_error = threads_stop(UINT64_C(200000000), why);
	if (stop_error == 0)
		threads_release();
}

static void name_limit(int which, const char *expected)
{
	struct rlimit before, none;

	must(getrlimit(which, &before) == 0, "getrlimit");
	none = (struct rlimit){0, before.rlim_max};
	setrlimit(which, &none);
	must(os_thread_start(stop_shortly, NULL, 1 << 20, &stopper_is_alive) == 0, "no stopper");
	while (__atomic_load_n(&stopper_is_alive, __ATOMIC_ACQUIRE))
		os_futex_wait(&stopper_is_alive, 1, NULL);
	setrlimit(which, &before);
	must(stop_error == -EAGAIN, "all were stopped in spite of the limit");
	must(strstr(why, expected) != NULL, why);
	stop_error = 0;
}

static void name_limits(void)
{
	name_limit(RLIMIT_NOFILE, "threads cannot be listed: Too many open files"); /* none is known yet */
	name_limit(RLIMIT_SIGPENDING, "RLIMIT_SIGPENDING");
}

int main(void)
{
	alarm(200); /* it hangs */
	ours_open_zone();
	must(threads_open() == 0, "threads_open");
	name_limits();
	stop_all_kinds();
	name_who_does_not_stop();
	return 0;
}
